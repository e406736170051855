"""Ctrl-C and SIGTERM, which can wait until what must not be broken off is done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held() -> Iterator[None]:
    """Within, they are noted; at the end they are heard in turn, until one raises.

    For what is short: an exception that a handler raises within the code of a lock or a queue
    may leave it locked, and others then wait for ever.
    """
    came: list[int] = []
    try:
        with ExitStack() as restored:
            if threading.current_thread() is threading.main_thread():  # where handlers are run
                for one in INTERRUPTS:
                    if callable(handler := signal.getsignal(one)):
                        restored.callback(signal.signal, one, handler)
                        signal.signal(one, lambda number, _: came.append(number))
            yield
    finally:
        for number in came:
            signal.raise_signal(number)
