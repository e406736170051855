"""The scores of benchmarks/talker_order.py."""

import numpy as np
import pytest
from talker_order import LEVEL, by_confidence, joints, mean_si_sdr, summary

from cplxsep.audio.level import from_db
from cplxsep.engine.talker_order import Seam


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


def test_a_joint_is_right_where_what_follows_is_in_the_usual_order():
    talkers = from_db(LEVEL) * np.random.default_rng(0).standard_normal((2, 8000 * 10))
    talkers[:, 8000 * 8 :] = 0
    given = talkers.copy()
    given[:, 8000 * 4 : 8000 * 6] = talkers[::-1, 8000 * 4 : 8000 * 6]
    seams = [Seam(at, "voice", at / 10, False) for at in (2.0, 4.0, 6.0, 8.0)]
    for estimate in (given, given[::-1]):
        found = joints(talkers, estimate, seams)
        assert found == [(0.2, True), (0.4, False), (0.6, True)]  # nobody speaks behind the last


def test_joints_are_told_apart_by_confidence():
    rows = by_confidence([(0.1, False), (0.2, True), (0.95, True), (1.0, True)])
    assert [(row["from"], row["joints"], row["right"]) for row in rows] == [
        (0, 2, 0.5),
        (0.9, 2, 1),
    ]
    assert rows[1]["mean"] == pytest.approx(0.975)
