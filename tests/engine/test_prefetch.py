import signal
import threading
import time

import pytest

from cplxsep.engine.prefetch import CancelledError, Prefetch


def test_items_come_in_order_and_not_too_far_ahead():
    taken = []

    def items():
        for number in range(100):
            taken.append(number)
            yield number

    ahead = Prefetch(items(), depth=3)
    for expected, found in zip(range(100), ahead, strict=True):
        assert found == expected
        assert len(taken) <= found + 5


def test_an_error_comes_where_it_happened():
    def items():
        yield 1
        raise ValueError("broken")

    ahead = Prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)


def test_closing_ends_the_thread_and_the_generator():
    closed = threading.Event()

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    ahead = Prefetch(items())
    next(ahead)
    ahead.close()
    ahead.join()
    assert closed.is_set()


@pytest.mark.parametrize("call_off", ["cancel", "close"])
def test_waiting_for_a_slow_source_ends_when_called_off(call_off):
    cancelled, release = threading.Event(), threading.Event()

    def items():
        release.wait(20)
        yield 0

    ahead = Prefetch(items(), cancelled)
    threading.Timer(0.05, cancelled.set if call_off == "cancel" else ahead.close).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        next(ahead)
    assert time.monotonic() - begun < 5
    release.set()
    ahead.close()
    ahead.join()


def test_being_called_off_ends_even_one_who_is_always_behind():
    cancelled = threading.Event()
    ahead = Prefetch(iter(range(10**9)), cancelled)
    assert next(ahead) == 0
    cancelled.set()
    with pytest.raises(CancelledError):
        next(ahead)
    ahead.close()


def test_an_interrupt_leaves_nothing_locked(monkeypatch):
    """One whose handler raises as soon as the lock is had: the thread then waited for ever."""
    enter, main = threading.Condition.__enter__, threading.get_ident()

    def interrupted(condition):
        found = enter(condition)
        if threading.get_ident() == main:
            signal.raise_signal(signal.SIGINT)
        return found

    go = threading.Event()
    items = Prefetch(number for number in range(3) if go.wait(10))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(threading.Condition, "__enter__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(items)
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGINT, before)
    go.set()
    items.close()
    items._thread.join(10)
    assert not items._thread.is_alive()
