import numpy as np
import pytest

from cplxsep.engine.passages import in_orders, passages, stretches

STAY, SWAP = np.array([0, 1]), np.array([1, 0])


@pytest.mark.parametrize(
    ("speech", "expected"),
    [
        ("", [(0, 0)]),
        ("....", [(0, 4)]),
        ("xx", [(0, 2)]),
        ("..xx......", [(0, 10)]),
        ("xx..xx", [(0, 6)]),
        ("xx...xx", [(0, 3), (3, 7)]),
        ("x....x.x...x.", [(0, 3), (3, 9), (9, 13)]),
    ],
)
def test_passages_are_cut_in_the_middle_of_pauses_of_three_frames(speech, expected):
    assert passages(np.array(list(speech)) == "x", 3) == expected


def test_stretches_are_the_passage_and_have_speech_each():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count, pause, length = rng.integers(1, 200), 3, int(rng.integers(6, 12))
        speaks = rng.random(count) < rng.choice([0.3, 0.6, 0.9])
        if not speaks.any():
            continue
        powers = rng.random(count)
        for passage in passages(speaks, pause):
            found = stretches(passage, speaks, powers, length)
            assert [found[0][0], *(last for _, last in found)] == [
                *(first for first, _ in found),
                passage[1],
            ]
            assert found[0][0] == passage[0]
            assert all(speaks[first:last].any() for first, last in found)
            inner = [last - first for first, last in found[1:-1]]
            assert all(length // 2 <= each < length // 2 + length for each in inner)


def test_stretches_are_cut_where_it_is_softest():
    powers = np.ones(40)
    powers[[13, 14, 27]] = 0.5, 0.1, 0.2
    speaks = np.ones(40, bool)
    assert stretches((0, 40), speaks, powers, 10) == [(0, 14), (14, 27), (27, 40)]
    assert stretches((5, 24), speaks, powers, 10) == [(5, 24)]
    # The silence before and after does not count.
    speaks[:12] = speaks[31:] = False
    assert stretches((0, 40), speaks, powers, 10) == [(0, 40)]


def test_pieces_are_faded_into_each_other_and_equal_orders_are_not():
    sources = np.stack([np.ones(100, np.float32), np.zeros(100, np.float32)])
    found = in_orders(sources, [(0, STAY), (20, STAY), (40, SWAP), (80, STAY)], 10)
    assert np.array_equal(found[0, :35], np.ones(35))
    assert (np.diff(found[0, 35:45]) < 0).all()
    assert np.array_equal(found[0, 45:75], np.zeros(30))
    assert np.array_equal(found[0, 85:], np.ones(15))
    assert found.sum(axis=0) == pytest.approx(np.ones(100))
    assert np.array_equal(sources[0], np.ones(100))
