"""Score many examples, in this process or in several, in the order of their names."""

import importlib
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cplxsep.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from cplxsep.metrics.score import SourceScore

AHEAD = 4
"""Examples in waiting for each process."""


class Loads(Protocol):
    """What is scored; see evaluation.Cases."""

    def load(self, name: str) -> "tuple[np.ndarray | None, np.ndarray, np.ndarray, int]":
        """Mixture (S,) or None, references and estimates (N, S), rate in Hz. InputError."""


class Scored(NamedTuple):
    """An example's scores, its rate in Hz and length in seconds."""

    sources: "list[SourceScore]"
    sample_rate: int
    seconds: float


def score_all(
    cases: Loads, names: Sequence[str], metrics: Sequence[str], workers: int = 1
) -> Iterator[tuple[str, Scored | InputError]]:
    """The scores of each example or why it has none, in the order of `names`.

    Examples are loaded here and scored by `workers` processes. All have one rate: an example with
    another rate than the first fails, for a mean of both would stand for neither.
    """
    examples = _loaded(cases, names)
    if workers <= 1:
        for name, example in examples:
            yield name, example if isinstance(example, InputError) else _score(example, metrics)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_prepare_worker)
    ahead: deque[tuple[str, Future[Scored] | InputError]] = deque()
    try:
        for name, example in examples:
            failed = isinstance(example, InputError)
            ahead.append((name, example if failed else pool.submit(_score, example, metrics)))
            if len(ahead) >= AHEAD * workers:
                yield _finished(ahead.popleft())
        while ahead:
            yield _finished(ahead.popleft())
    except BrokenProcessPool as error:
        raise InputError(
            "a process that scores was ended from outside, perhaps for lack of memory: "
            "try fewer with --workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _loaded(cases: Loads, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    first: tuple[str, int] | None = None
    for name in names:
        try:
            example = cases.load(name)
        except InputError as error:
            yield name, error
            continue
        rate = example[3]
        first = first or (name, rate)
        if rate == first[1]:
            yield name, example
            continue
        yield (
            name,
            InputError(
                f"{name} has {rate} Hz but {first[0]} has {first[1]} Hz: score each rate by itself"
            ),
        )


def _finished(entry: "tuple[str, Future[Scored] | InputError]") -> tuple[str, Scored | InputError]:
    name, example = entry
    return name, example if isinstance(example, InputError) else example.result()


def _score(example: Any, metrics: Sequence[str]) -> Scored:
    from cplxsep.metrics.score import score_example

    mixture, references, estimates, rate = example
    sources = score_example(mixture, references, estimates, metrics, rate)
    return Scored(sources, rate, references.shape[-1] / rate)


def _prepare_worker() -> None:
    """Run first in a new process, before numpy is loaded."""
    # Ctrl-C reaches the whole group: the parent ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # The processes are the parallelism; threads below them would only disturb each other.
    for library in ("OPENBLAS", "MKL", "OMP"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    # fast_bss_eval loads torch where it can; here that costs 2 s and 200 MB for nothing. The bar
    # is lifted after that, for scipy takes a torch among the modules for the whole of it.
    if "torch" not in sys.modules:
        sys.modules["torch"] = None  # type: ignore[assignment]
        importlib.import_module("fast_bss_eval")
        del sys.modules["torch"]
