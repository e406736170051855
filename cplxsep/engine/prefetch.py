"""Work that goes on in a thread of its own while its results are used."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from cplxsep.interrupts import held

Item = TypeVar("Item")
LISTEN = 0.1  # seconds between looks whether the work was called off


class CancelledError(Exception):
    """The work was called off."""


class Prefetch(Generic[Item]):
    """Takes items from an iterable in a thread, at most `depth` of them before they are wanted.

    They come in the same order, and an error comes where the item would have. Close it in the end;
    whoever waits for an item then gets a CancelledError.

    Args:
        cancelled: when set, waiting for an item raises CancelledError.
    """

    def __init__(
        self, items: Iterable[Item], cancelled: threading.Event | None = None, depth: int = 2
    ) -> None:
        self._items = items
        self._cancelled = cancelled or threading.Event()
        self._depth = depth
        self._ready: deque[Item] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        while True:
            with held(), self._changed:
                # Also where items are ready: whoever is always behind must stop, too.
                if self._cancelled.is_set() or self._closed:
                    raise CancelledError
                if self._ready:
                    self._changed.notify_all()
                    return self._ready.popleft()
                if self._ended:
                    break
                self._changed.wait(LISTEN)
        if self._error is not None:
            raise self._error
        raise StopIteration

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._offer(item):
                    break
        except BaseException as error:  # handed to the one who waits
            self._error = error
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _offer(self, item: Item) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._ready) < self._depth)
            self._ready.append(item)
            self._changed.notify_all()
            return not self._closed

    def close(self) -> None:
        """Take no more items."""
        with self._changed:
            self._closed = True
            self._ready.clear()
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the thread is done with the item that it is at. Not for slow pipes."""
        self._thread.join()
