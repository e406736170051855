import numpy as np
import pytest

from cplxsep.engine.likely_path import leads, likely_path

PRICE = 1.5


def worth(scores, path):
    """Of a path, as its definition says."""
    return scores[np.arange(len(path)), path].sum() - PRICE * (np.diff(path) != 0).sum()


@pytest.mark.parametrize(("count", "states"), [(1, 2), (6, 2), (5, 3)])
def test_no_other_path_is_likelier(count, states):
    rng = np.random.default_rng(0)
    for _ in range(50):
        scores = 2 * rng.standard_normal((count, states))
        every = [np.array(path) for path in np.ndindex(*[states] * count)]
        path = likely_path(scores, PRICE)
        assert worth(scores, path) == pytest.approx(max(worth(scores, one) for one in every))
        found = leads(scores, path, PRICE)
        for at in range(count):
            if at == 0 or path[at] == path[at - 1]:
                assert found[at] == np.inf
                continue
            rivals = [worth(scores, one) for one in every if one[at] == one[at - 1]]
            assert found[at] == pytest.approx(worth(scores, path) - max(rivals))


def test_a_path_stays_where_nothing_tells():
    assert likely_path(np.zeros((4, 3)), PRICE).tolist() == [0] * 4
    scores = np.zeros((4, 2))
    scores[1, 1] = 1.0
    scores[3, 1] = PRICE
    assert likely_path(scores, PRICE).tolist() == [1] * 4
