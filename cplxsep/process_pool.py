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
from cplxsep.interrupts import INTERRUPTS, held


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
        with _for_this_process():  # here processes begin
            return super().submit(function, *given, **named)


@contextmanager
def _for_this_process() -> Iterator[None]:
    """Interrupts are held, and new processes do not hear them.

    They reach the whole group, with Ctrl-C or from `timeout`, and until it comes to `_begin` Python
    ends by them with a traceback.
    """
    with held():
        if not hasattr(signal, "pthread_sigmask"):
            yield
            return
        # What is blocked here stays so in a new process.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begin(prepare: Callable[..., object], *given: Any) -> None:
    for number in INTERRUPTS:  # the parent ends the others
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
