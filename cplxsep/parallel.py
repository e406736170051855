"""Work on many items at once, a few of them in waiting, with the results in the items' order."""

import os
import re
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from cplxsep.errors import LostError, UsageError
from cplxsep.interrupts import held

Item = TypeVar("Item")
Result = TypeVar("Result")
Workers = int | Executor
"""So many of this machine's own, or those of an executor."""

MOST_AHEAD = 10_000  # items under way on an executor
LISTEN = 0.2  # seconds, about, that interrupts are held while a result is waited for


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `of` parts of a list: every `of`-th item.

    All who have the same list get parts that share nothing and together are the whole.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: object) -> "Shard":
        """From text such as 2/8. UsageError."""
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", str(text))
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise UsageError(f"--shard {text}: write I/N with I from 1 to N, such as 2/8")
        return cls(number, of)

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def __bool__(self) -> bool:
        """Whether there are others."""
        return self.of > 1

    def take(self, items: Sequence[Item]) -> list[Item]:
        """Those of the items that are in this part, in order."""
        return list(items[self.number - 1 :: self.of])


WHOLE = Shard()


def default_workers() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    executor: Executor,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    ahead: int,
    lost: Callable[[Item, LostError], Result] | None = None,
) -> Generator[Result, None, None]:
    """Yield `function(item)` in the order of `items`, of which up to `ahead` are under way.

    The items, which may be endless, are taken here, one for each result. An exception or the end
    of the caller's loop drops what has not begun; the executor is the caller's to close. `lost`
    gives the result for an item that the executor's workers died at.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()

    def first() -> Result:
        item, future = waiting[0]
        try:
            return result_of(future)
        except LostError as error:
            if lost is None:
                raise
            return lost(item, error)

    try:
        for item in items:
            with held():
                waiting.append((item, executor.submit(function, item)))
            if len(waiting) >= ahead:
                yield first()
                waiting.popleft()
        while waiting:
            yield first()
            waiting.popleft()
    finally:
        cancel(future for _, future in waiting)


def cancel(futures: Iterable[Future[Any]]) -> None:
    """Drop what has not begun."""
    with held():
        for future in futures:
            future.cancel()


def result_of(future: Future[Result]) -> Result:
    """The result, once it is there; interrupts are heard meanwhile."""
    while True:
        with held():
            if future.done():
                return future.result()
            with suppress(TimeoutError):
                return future.result(LISTEN)


def in_threads(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: Workers,
    lost: Callable[[Item, LostError], Result] | None = None,
) -> Iterator[Result]:
    """`in_order` by an executor, or threads of its own: decoding releases Python's lock."""
    if isinstance(workers, Executor):
        yield from in_order(workers, function, items, MOST_AHEAD, lost)
        return
    if workers <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(workers) as executor:
        yield from in_order(executor, function, items, 4 * workers)
