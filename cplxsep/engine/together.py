"""Calls from several threads that share batches: many short files fill a GPU together."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cplxsep.errors import InputError

Run = Callable[[np.ndarray], tuple[np.ndarray, ...]]


@dataclass(eq=False)
class _Request:
    chunks: np.ndarray  # (B, S)
    owner: object
    found: tuple[np.ndarray, ...] = ()
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class Together:
    """Runs chunks (B, S) -> (B, ...) each; while a batch runs, calls gather for the next one.

    Only chunks of one length share a batch: padding would enter the network's statistics.

    Args:
        run: works on any number of chunks.
        most: number of chunks from which a batch is full.
        turns: batches that may run at once.
    """

    def __init__(self, run: Run, most: Callable[[], int], turns: int = 1) -> None:
        self._run = run
        self._most = most
        self._waiting: list[_Request] = []
        self._gate = threading.Lock()  # of the list
        self._turns = threading.Semaphore(turns)  # of running

    def __call__(self, chunks: np.ndarray, owner: object = None) -> tuple[np.ndarray, ...]:
        """What is found of the chunks; errors as of `run`.

        Calls of one owner that is not None share no batch: how it cuts its chunks into calls, and
        not the moment, decides what runs together.
        """
        request = _Request(chunks, owner)
        with self._gate:
            self._waiting.append(request)
        with self._turns:
            group: list[_Request] = []
            try:
                self._gather(request, group)
                if group:  # or whoever had a turn before has taken this, too
                    self._serve(group)
            except BaseException as error:  # nobody else would let the others go
                for other in group:
                    other.error = other.error or error
                    other.done.set()
                raise
        request.done.wait()
        if request.error is not None:
            raise request.error
        return request.found

    def _gather(self, first: _Request, group: list[_Request]) -> None:
        """Take the request and those waiting that fit into a batch with it; none if it is taken."""
        with self._gate:
            if first not in self._waiting:
                return
            group.append(first)
            size, owners = len(first.chunks), {first.owner} - {None}
            for other in self._waiting:
                fits = other.chunks.shape[1] == first.chunks.shape[1] and other.owner not in owners
                if other is not first and fits and size + len(other.chunks) <= self._most():
                    group.append(other)
                    size += len(other.chunks)
                    owners |= {other.owner} - {None}
            self._waiting = [item for item in self._waiting if item not in group]

    def _serve(self, group: list[_Request]) -> None:
        try:
            found = self._run(np.concatenate([request.chunks for request in group]))
            end = 0
            for request in group:
                begin, end = end, end + len(request.chunks)
                request.found = tuple(part[begin:end] for part in found)
        except InputError as error:
            if len(group) == 1:
                group[0].error = error
            else:  # the chunks of one; the others have no fault
                for request in group:
                    self._serve([request])
        except BaseException as error:
            for request in group:
                request.error = error
        for request in group:
            request.done.set()
