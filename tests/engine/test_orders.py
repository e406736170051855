import itertools

import numpy as np
import pytest

from cplxsep.engine.orders import lead_of_best


@pytest.mark.parametrize("talkers", [2, 5])
def test_the_lead_is_that_found_by_trying_all(talkers):
    scores = np.random.default_rng(0).standard_normal((talkers, talkers))
    orders = itertools.permutations(range(talkers))
    *_, second, first = sorted(sum(scores[i, order[i]] for i in range(talkers)) for order in orders)
    assert lead_of_best(scores) == pytest.approx(first - second)
