"""Processes of this command's own, which begin and end with it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from cplxsep.errors import InputError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def own_processes(
    count: int, doing: str, option: str, prepare: Callable[..., object], *given: Any
) -> Iterator[Executor]:
    """So many new processes, each of which first calls `prepare` with what is given.

    They end with this one, however it ends. InputError where one is ended from outside, which says
    what it is `doing` and with which `option` there are fewer.
    """
    try:
        with _Pool(count, _Context(), initializer=_begin, initargs=(prepare, *given)) as executor:
            yield executor
    except BrokenProcessPool as error:
        raise InputError(
            f"a process that {doing} was ended from outside, perhaps for lack of memory: "
            f"try fewer with {option}"
        ) from error


class _Process(SpawnProcess):
    def terminate(self) -> None:
        """As the executor does where it has lost another: SIGTERM would be ignored."""
        self.kill()


class _Context(SpawnContext):
    Process = _Process


class _Pool(ProcessPoolExecutor):
    """Knows all processes that it has begun, whenever a signal comes."""

    def submit(self, function: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        with _signals_wait():  # here processes begin
            return super().submit(function, *given, **named)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals are heard at the end, and by this process alone.

    They reach the whole group, with Ctrl-C or from `timeout`, and until it comes to `_begin` Python
    ends by them with a traceback.
    """
    came: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # where handlers are run
        for one in _SIGNALS:
            if callable(signal.getsignal(one)):
                before[one] = signal.signal(one, lambda number, _: came.append(number))
    if can_block := hasattr(signal, "pthread_sigmask"):
        # What is blocked here stays so in a new process.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        if can_block:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)


def _begin(prepare: Callable[..., object], *given: Any) -> None:
    for number in _SIGNALS:  # the parent ends the others
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # The processes are the parallelism; threads below them would only disturb each other.
    for library in ("OPENBLAS", "MKL", "OMP"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    prepare(*given)


def _end_with_parent() -> None:
    """A parent that is killed closes nothing: its pool would wait for work for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
