"""Ctrl-C and SIGTERM, which can wait until what must not be broken off is done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held() -> Iterator[None]:
    """Within, they are noted; at the end each is heard, by whoever would have heard it.

    For what is short: an exception that a handler raises within the code of a lock or a queue
    may leave it locked, and others then wait for ever.
    """
    came: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # where handlers are run
        for one in INTERRUPTS:
            if callable(signal.getsignal(one)):
                before[one] = signal.signal(one, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)
