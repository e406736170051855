import itertools

import numpy as np
import pytest

from cplxsep.engine.orders import best_order


def test_best_order_and_its_lead_agree_with_trying_all():
    scores = np.random.default_rng(0).standard_normal((5, 5))
    every = sorted(
        (sum(scores[i, p[i]] for i in range(5)), p) for p in itertools.permutations(range(5))
    )
    order, lead = best_order(scores)
    assert tuple(order) == every[-1][1]
    assert lead == pytest.approx(every[-1][0] - every[-2][0])
