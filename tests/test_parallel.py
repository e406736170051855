import itertools
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from cplxsep.parallel import default_workers, in_order, in_threads


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_order(workers):
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(in_threads(slow, range(40), workers)) == [n * n for n in range(40)]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_stops_what_has_not_begun(workers):
    begun = []

    def work(number):
        begun.append(number)
        if number == 2:
            raise KeyError(number)
        time.sleep(0.01)

    with pytest.raises(KeyError):
        list(in_threads(work, range(1000), workers))
    assert len(begun) < 50


def test_leaving_the_loop_stops_the_threads():
    before = threading.active_count()
    for number in in_threads(lambda item: item, range(1000), 3):
        if number == 5:
            break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_default():
    assert default_workers() >= 1


@pytest.mark.parametrize("ahead", [1, 3])
def test_of_endless_items_only_so_many_are_taken(ahead):
    numbers = itertools.count()
    with ThreadPoolExecutor(2) as executor:
        results = in_order(executor, lambda number: number, numbers, ahead)
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        results.close()
        assert next(numbers) == 4 + ahead


def test_what_waits_is_dropped_where_the_loop_is_left():
    begun, go = [], threading.Event()

    def work(number):
        begun.append(number)
        assert number == 0 or go.wait(5)

    with ThreadPoolExecutor(1) as executor:
        results = in_order(executor, work, range(10), 5)
        next(results)
        results.close()
        go.set()
    assert begun in ([0], [0, 1])


@pytest.mark.skipif(sys.platform == "win32", reason="signals to threads")
def test_a_signal_that_does_not_end_the_wait_is_heard():
    """As one does that comes just before it: here to another thread, so that it always does."""

    class HeardError(Exception):
        pass

    def hear(*_):
        raise HeardError

    go, before = threading.Event(), signal.signal(signal.SIGUSR1, hear)

    def disturb():
        time.sleep(0.3)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)

    try:
        with ThreadPoolExecutor(2) as executor:
            other = executor.submit(disturb)
            begun = time.monotonic()
            with pytest.raises(HeardError):
                next(in_order(executor, go.wait, [20], 1))
            go.set()
            other.result()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - begun < 10


INTERRUPTED = """
import signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from cplxsep.parallel import in_order

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
main, enter, go = threading.get_ident(), threading.Condition.__enter__, threading.Event()

def items():
    yield from (0, 1)
    while threading.Condition.__enter__ is enter:
        time.sleep(0.01)
    yield 2

def work(number):
    if number:
        threading.Condition.__enter__ = interrupted
        go.wait()

def interrupted(condition):
    found = enter(condition)
    if threading.get_ident() == main:
        signal.raise_signal(signal.SIGINT)
    return found

with ThreadPoolExecutor(1) as executor:
    try:
        list(in_order(executor, work, items(), int(sys.argv[1])))
    except KeyboardInterrupt:
        threading.Condition.__enter__ = enter
        print("interrupted", flush=True)
    go.set()
"""


@pytest.mark.parametrize("ahead", [1, 2])
def test_an_interrupt_leaves_no_lock_locked(ahead):
    """One whose handler raises as soon as a lock of a future, or of its pool, is had."""
    command = [sys.executable, "-c", INTERRUPTED, str(ahead)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
