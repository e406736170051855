"""An executor whose workers are actors of Ray."""

import math
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any

from cplxsep.cluster.address import connected
from cplxsep.cluster.worker import Worker
from cplxsep.errors import DeviceError, LostError, UsageError, first_line, tell
from cplxsep.interrupts import held
from cplxsep.version import own_version

FEW = 4
"""Cores of a worker that runs a network on them."""

TRIES = 3
"""Workers that may die at an item before it is given up."""

PATIENCE = 300.0
"""Seconds without any worker after which there is none to be had."""


class _Task:
    def __init__(self, function: Callable[[Any], Any], item: Any, future: "_Result") -> None:
        # What a method belongs to is sent once, the name of the method with each item.
        self.owner = getattr(function, "__self__", function)
        self.method = "__call__" if self.owner is function else function.__name__
        self.item = item
        self.future = future
        self.deaths = 0


class _Result(Future[Any]):
    """Whoever waits for it keeps all the work going."""

    def __init__(self, step: Callable[[float], None]) -> None:
        super().__init__()
        self._step = step

    def result(self, timeout: float | None = None) -> Any:
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not self.done() and (left := until - time.monotonic()) > 0:
            self._step(min(left, 1.0))
        return super().result(0)


class _Hired:
    """An actor, and what it is at."""

    def __init__(self, actor: Any) -> None:
        self.actor = actor
        self.ready = False
        self.tasks: list[_Task] = []

    def takes(self, task: _Task, most: int) -> bool:
        """Whether it can begin the task. One at which another died is alone with its worker."""
        if not self.ready or len(self.tasks) >= most:
            return False
        return not self.tasks or not (task.deaths or any(own.deaths for own in self.tasks))


class Cluster(Executor):
    """Workers on all nodes, one a GPU or one for some cores each.

    An item goes to whoever is free. One whose worker dies, or its node, goes to another; after
    the third its result is a LostError. A function, or what a method belongs to, is sent to each
    worker once. All is done while somebody waits for a result, in one thread.

    Args:
        address: see `address.parse`.
        cores: of each worker without a GPU, where its node has so many.
        gpus: whether workers have one; None if there are any.
        at_once: items of a worker with a GPU.
        shared: a file that is there, which workers must see.

    Attributes:
        gpus: as above, but never None.

    Raises:
        UsageError: there is no such cluster. DeviceError: it has no GPU.
    """

    def __init__(
        self,
        address: str,
        *,
        cores: int = 1,
        gpus: bool | None = False,
        at_once: int = 1,
        shared: Path | None = None,
    ) -> None:
        self._ray = connected(address)
        there = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        cards = sum(int(node.get("GPU", 0)) for node in there)
        if gpus and not cards:
            self._ray.shutdown()
            raise DeviceError("the cluster has no GPU: use --device cpu")
        self.gpus = cards > 0 if gpus is None else gpus
        sizes = [int(node["CPU"]) for node in there if node.get("CPU", 0) >= 1]
        if self.gpus:  # so many that each of a node's GPUs gets its worker
            shares = [node.get("CPU", 0) // node["GPU"] for node in there if node.get("GPU")]
            self._cores = min(FEW, max(int(min(shares)), 1))
        elif not sizes:
            self._ray.shutdown()
            raise DeviceError("no node of the cluster has a core to work on")
        else:  # as many as asked for at the most, few left over
            self._cores = min(sizes) // math.ceil(min(sizes) / cores)
        self._count = cards if self.gpus else sum(size // self._cores for size in sizes)
        self._at_once = at_once if self.gpus else 1
        self._greeting = (os.getcwd(), shared and shared.absolute(), own_version())
        self._queue: deque[_Task] = deque()
        self._workers: list[_Hired] = []
        self._calls: dict[Any, tuple[_Hired, _Task | None]] = {}  # by what Ray gives for one
        self._sent: tuple[Any, Any] = (None, None)
        self._failed_starts = 0
        self._seen: float | None = None  # a worker, or when the first was asked for

    def submit(self, function: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        """Have `function(item)` done; both must go through pickle."""
        future = _Result(self._step)
        self._queue.append(_Task(function, args[0], future))
        return future

    def shutdown(self, *_: Any, **__: Any) -> None:
        """End all workers, whatever they are at, and leave the cluster."""
        with held():
            for worker in self._workers:
                with suppress(Exception):
                    self._ray.kill(worker.actor)
            with suppress(Exception):  # until they are gone
                self._ray.wait(list(self._calls), num_returns=len(self._calls), timeout=5.0)
        self._workers = []
        self._ray.shutdown()

    def _step(self, seconds: float) -> None:
        """Give out what can be, and wait so long at the most for something to be done."""
        self._hire()
        self._seen = self._seen or time.monotonic()
        self._give()
        ready, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=seconds)
        for call in ready:
            self._take(call)
        if any(worker.ready for worker in self._workers):
            self._seen = time.monotonic()
        elif time.monotonic() > self._seen + PATIENCE:
            raise DeviceError(
                f"no worker of the cluster was to be had for {PATIENCE:.0f} s: are its nodes busy?"
            )

    def _hire(self) -> None:
        wanted = min(self._count, len(self._queue) + len(self._workers))
        while len(self._workers) < wanted:
            actor = self._ray.remote(Worker).options(
                num_cpus=self._cores,
                num_gpus=int(self.gpus),
                max_concurrency=self._at_once,
                scheduling_strategy="SPREAD",
            )
            worker = _Hired(actor.remote())
            self._workers.append(worker)
            self._calls[worker.actor.greet.remote(*self._greeting)] = worker, None

    def _give(self) -> None:
        left = len(self._queue) + sum(len(worker.tasks) for worker in self._workers)
        # One more waits there. Fair shares, so that in the end none waits while others are free.
        most = min(self._at_once + 1, math.ceil(left / max(self._count, 1)))
        passed = []
        while self._queue:
            task = self._queue.popleft()
            if task.future.cancelled():
                continue
            free = [worker for worker in self._workers if worker.takes(task, most)]
            if not free:
                passed.append(task)
                if task.deaths:  # what waits for a worker of its own keeps no other from one
                    continue
                break
            worker = min(free, key=lambda one: len(one.tasks))
            if self._sent[0] is not task.owner:
                self._sent = task.owner, self._ray.put(task.owner)
            # In a list it stays a reference: only what is new to the worker travels.
            call = worker.actor.work.remote([self._sent[1]], task.method, task.item)
            worker.tasks.append(task)
            self._calls[call] = worker, task
        self._queue.extendleft(reversed(passed))

    def _take(self, call: Any) -> None:
        worker, task = self._calls.pop(call)
        errors = self._ray.exceptions
        try:
            value = self._ray.get(call)
        except errors.RayTaskError as error:
            if task is None:
                why = first_line(error.cause)
                raise DeviceError(f"a worker of the cluster fails as it starts: {why}") from error
            worker.tasks.remove(task)
            task.future.set_exception(error)
        except errors.RayError as error:
            self._lose(worker, task, str(error).strip().splitlines()[-1].strip())
        else:
            self._note(worker, task, value)

    def _note(self, worker: _Hired, task: _Task | None, value: Any) -> None:
        if task is None:
            if value:
                raise UsageError(f"--cluster: {value}")
            worker.ready, self._failed_starts = True, 0
            return
        result, error, notes = value
        worker.tasks.remove(task)
        for note in notes:
            tell(note)
        if error is None:
            task.future.set_result(result)
        else:
            task.future.set_exception(error)

    def _lose(self, worker: _Hired, task: _Task | None, why: str) -> None:
        """Let a worker go; what it was at goes to others, before all else."""
        if worker in self._workers:
            self._workers.remove(worker)
            with suppress(Exception):
                self._ray.kill(worker.actor)
        if task is None:
            self._failed_starts += 1
            if self._failed_starts > TRIES + self._count:
                raise DeviceError(f"the cluster's workers end as they start: {why}")
            return
        task.deaths += 1
        if task.deaths < TRIES:
            self._queue.appendleft(task)
        else:
            task.future.set_exception(
                LostError(f"{TRIES} workers of the cluster died at it, perhaps for lack of memory")
            )
