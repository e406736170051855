import threading
import time

import pytest

from cplxsep.data.parallel import default_workers, ordered_map


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_order(workers):
    def slow(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    assert list(ordered_map(slow, range(40), workers)) == [n * n for n in range(40)]


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_stops_what_has_not_begun(workers):
    begun = []

    def work(number):
        begun.append(number)
        if number == 2:
            raise KeyError(number)
        time.sleep(0.01)

    with pytest.raises(KeyError):
        list(ordered_map(work, range(1000), workers))
    assert len(begun) < 50


def test_leaving_the_loop_stops_the_threads():
    before = threading.active_count()
    for number in ordered_map(lambda item: item, range(1000), 3):
        if number == 5:
            break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_default():
    assert default_workers() >= 1
