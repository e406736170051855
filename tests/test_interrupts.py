"""Interrupts that are held are heard afterwards, and by nobody else."""

import signal
import threading

import pytest

from cplxsep.interrupts import INTERRUPTS, held


class HeardError(Exception):
    pass


@pytest.fixture
def heard():
    """What handlers of both signals have heard; that of SIGTERM raises."""
    found = []

    def hear(number, _):
        found.append(number)
        if number == signal.SIGTERM:
            raise HeardError

    before = {number: signal.signal(number, hear) for number in INTERRUPTS}
    yield found
    assert all(signal.getsignal(number) is hear for number in INTERRUPTS)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_they_are_heard_at_the_end_in_turn(heard):
    with held():
        with held():
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert heard == []
    assert heard == [signal.SIGINT, signal.SIGINT]


def test_they_are_heard_where_something_fails_too(heard):
    def fail():
        with held():
            signal.raise_signal(signal.SIGTERM)
            raise KeyError

    with pytest.raises(HeardError) as error:
        fail()
    assert isinstance(error.value.__context__, KeyError)
    assert heard == [signal.SIGTERM]


def test_one_that_raises_within_leaves_the_handlers(heard, monkeypatch):
    """Regression: between one signal's handler and the other's it left the first one deaf."""
    swap = signal.signal

    def interrupted(number, handler):
        found = swap(number, handler)
        if number == signal.SIGINT and not heard:
            signal.raise_signal(signal.SIGTERM)
        return found

    monkeypatch.setattr(signal, "signal", interrupted)
    with pytest.raises(HeardError), held():
        pytest.fail("was interrupted before")
    monkeypatch.undo()
    assert heard == [signal.SIGTERM]


@pytest.mark.usefixtures("heard")
def test_in_another_thread_nothing_is_changed():
    handlers = []

    def work():
        with held():
            handlers.extend(map(signal.getsignal, INTERRUPTS))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [*map(signal.getsignal, INTERRUPTS)]
