"""Score many examples, in this process or in several, in the order of their names."""

import importlib
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from cplxsep.errors import InputError
from cplxsep.parallel import MOST_AHEAD, Workers, in_order
from cplxsep.process_pool import own_processes

if TYPE_CHECKING:
    from cplxsep.metrics.cases import Case, Cases
    from cplxsep.metrics.score import SourceScore

AHEAD = 4
"""Examples in waiting for each process."""


class Scored(NamedTuple):
    """An example's scores, its rate in Hz and length in seconds."""

    sources: "list[SourceScore]"
    sample_rate: int
    seconds: float


Example = TypeVar("Example", "Case", Scored)


def score_all(
    cases: "Cases", names: Sequence[str], metrics: Sequence[str], workers: Workers = 1
) -> Iterator[tuple[str, Scored | InputError]]:
    """The scores of each example or why it has none, in the order of `names`.

    Examples are loaded here and scored by `workers` processes; those of a cluster do both. All have
    one rate: an example with another rate than the first fails, for a mean of both would stand for
    neither.
    """
    if isinstance(workers, Executor):
        far = partial(_load_and_score, cases, metrics)
        yield from _of_one_rate(in_order(workers, far, names, MOST_AHEAD, _lost))
        return
    examples, work = _of_one_rate(_loaded(cases, names)), partial(_score, metrics)
    if workers <= 1:
        yield from map(work, examples)
        return
    with own_processes(workers, "scores", "--workers", _prepare_worker) as executor:
        yield from in_order(executor, work, examples, AHEAD * workers)


def _loaded(cases: "Cases", names: Sequence[str]) -> "Iterator[tuple[str, Case | InputError]]":
    for name in names:
        try:
            yield name, cases.load(name)
        except InputError as error:
            yield name, error


def _of_one_rate(
    found: "Iterator[tuple[str, Example | InputError]]",
) -> "Iterator[tuple[str, Example | InputError]]":
    """Examples, loaded or scored; failed those of another rate than the first."""
    first: tuple[str, int] | None = None
    for name, example in found:
        if not isinstance(example, InputError):
            rate = example.sample_rate if isinstance(example, Scored) else example[3]
            first = first or (name, rate)
            if rate != first[1]:
                error = f"{name} has {rate} Hz but {first[0]} has {first[1]} Hz"
                yield name, InputError(f"{error}: score each rate by itself")
                continue
        yield name, example


def _load_and_score(
    cases: "Cases", metrics: Sequence[str], name: str
) -> tuple[str, Scored | InputError]:
    return _score(metrics, next(_loaded(cases, [name])))


def _lost(name: str, error: InputError) -> tuple[str, InputError]:
    return name, InputError(f"{name}: {error}")


def _score(
    metrics: Sequence[str], entry: "tuple[str, Case | InputError]"
) -> tuple[str, Scored | InputError]:
    name, example = entry
    if isinstance(example, InputError):
        return name, example
    from cplxsep.metrics.score import score_example

    mixture, references, estimates, rate = example
    sources = score_example(mixture, references, estimates, metrics, rate)
    return name, Scored(sources, rate, references.shape[-1] / rate)


def _prepare_worker() -> None:
    """Run first in a new process, before numpy is loaded."""
    # fast_bss_eval loads torch where it can; here that costs 2 s and 200 MB for nothing. The bar
    # is lifted after that, for scipy takes a torch among the modules for the whole of it.
    if "torch" not in sys.modules:
        sys.modules["torch"] = None  # type: ignore[assignment]
        importlib.import_module("fast_bss_eval")
        del sys.modules["torch"]
