import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cplxsep.engine.together import Together
from cplxsep.errors import DeviceError, InputError


def doubled(chunks):
    return np.stack([chunks, 2 * chunks], axis=1), chunks.sum(axis=1)


def same(found, wanted):
    return all(map(np.array_equal, found, wanted)) and len(found) == len(wanted)


def gathered(run, requests, most=8):
    """Results of requests that all wait while the first one runs; what was run together."""
    started, go = threading.Event(), threading.Event()
    sizes = []

    def slow(chunks):
        sizes.append(chunks.shape)
        if len(sizes) == 1:
            started.set()
            go.wait(20)
        return run(chunks)

    together = Together(slow, lambda: most)
    with ThreadPoolExecutor(len(requests)) as pool:
        first = pool.submit(together, requests[0])
        assert started.wait(20)
        others = []
        for count, request in enumerate(requests[1:], start=1):
            others.append(pool.submit(together, request))
            while len(together._waiting) < count:
                pass
        go.set()
        return [future.exception() or future.result() for future in (first, *others)], sizes


def test_calls_that_wait_share_a_batch_of_equal_lengths():
    rng = np.random.default_rng(0)
    lengths = [10, 10, 7, 10, 10, 7]
    requests = [rng.standard_normal((1 + index % 2, n)) for index, n in enumerate(lengths)]
    results, sizes = gathered(doubled, requests, most=4)
    for request, result in zip(requests, results, strict=True):
        assert same(result, doubled(request))
    assert all(count <= 4 for count, _ in sizes)
    assert len(sizes) < len(requests)


@pytest.mark.parametrize(
    ("owners", "batches"),
    # Two have their turns at once; then one of each owner, and all that have none.
    [(["a", "b", "a", "b", None, None], [1, 1, 4]), (["a", "b", "a", "a", None], [1, 1, 1, 2])],
)
def test_calls_of_one_owner_share_no_batch(owners, batches):
    sizes, started, go = [], threading.Event(), threading.Event()

    def slow(chunks):
        sizes.append(len(chunks))
        started.set()
        go.wait(20)
        return doubled(chunks)

    together = Together(slow, lambda: 8, turns=2)
    with ThreadPoolExecutor(8) as pool:
        found = []
        for number, owner in enumerate(owners):
            found.append(pool.submit(together, np.full((1, 5), 1.0 + number), owner))
            while len(sizes) + len(together._waiting) < number + 1:
                pass
        go.set()
        for number, future in enumerate(found):
            assert same(future.result(), doubled(np.full((1, 5), 1.0 + number)))
    assert sorted(sizes) == batches


def test_bad_chunks_of_one_call_do_no_harm_to_the_others():
    def run(chunks):
        if not np.isfinite(chunks).all():
            raise InputError("not finite")
        return doubled(chunks)

    bad = np.full((1, 5), np.nan)
    results, _ = gathered(run, [np.ones((1, 5)), np.ones((1, 5)), bad, np.ones((2, 5))])
    assert isinstance(results[2], InputError)
    for index in (0, 1, 3):
        assert same(results[index], doubled(np.ones((1 + (index == 3), 5))))


def test_a_broken_device_is_told_to_all():
    calls = iter(range(100))

    def run(chunks):
        if next(calls):
            raise DeviceError("gone")
        return doubled(chunks)

    results, _ = gathered(run, [np.ones((1, 5))] * 4)
    assert all(isinstance(result, DeviceError) for result in results[1:])


def test_calls_one_after_another_are_not_mixed():
    together = Together(doubled, lambda: 4)
    for value in range(5):
        chunks = np.full((2, 3), value)
        assert same(together(chunks), doubled(chunks))
    with pytest.raises(ZeroDivisionError):
        Together(lambda _: 1 / 0, lambda: 1)(np.ones((1, 1)))
