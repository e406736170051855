import numpy as np
import pytest

from cplxsep.engine.passages import in_orders, passages

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


def test_pieces_are_faded_into_each_other_and_equal_orders_are_not():
    sources = np.stack([np.ones(100, np.float32), np.zeros(100, np.float32)])
    found = in_orders(sources, [(0, STAY), (20, STAY), (40, SWAP), (80, STAY)], 10)
    assert np.array_equal(found[0, :35], np.ones(35))
    assert (np.diff(found[0, 35:45]) < 0).all()
    assert np.array_equal(found[0, 45:75], np.zeros(30))
    assert np.array_equal(found[0, 85:], np.ones(15))
    assert found.sum(axis=0) == pytest.approx(np.ones(100))
    assert np.array_equal(sources[0], np.ones(100))
