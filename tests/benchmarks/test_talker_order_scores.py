"""The scores of benchmarks/talker_order.py."""

import numpy as np
import pytest
from talker_order import mean_si_sdr, summary


def test_the_score_is_of_the_better_order():
    talkers = np.random.default_rng(0).standard_normal((2, 8000))
    leaky = talkers + 0.1 * talkers[::-1]
    assert mean_si_sdr(talkers, leaky) == pytest.approx(20, abs=0.3)
    assert mean_si_sdr(talkers, leaky[::-1]) == mean_si_sdr(talkers, leaky)


def test_a_loss_has_an_interval_of_its_own():
    """Conversations differ by far more than one order loses in each of them."""
    rows = [
        {"si_sdr": level, "si_sdr_best_order": level + 0.5, "si_sdr_as_given": 0.0}
        for level in (2.0, 8.0, 14.0)
    ]
    found = summary(rows)
    assert found["si_sdr"]["mean"] == pytest.approx(8)
    low, high = found["si_sdr"]["ci"]
    assert low < 5 < 11 < high
    assert found["loss"]["ci"] == pytest.approx([0.5, 0.5])
    assert found["loss"]["n"] == 3
