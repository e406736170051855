"""The scores of benchmarks/conversations.py."""

import numpy as np
import pytest
from conversations import CHUNK, RATE, diarization_error, score


@pytest.fixture(scope="module")
def talk():
    """Talker 1 in the first 14 s, talker 2 from 10 to 24 s."""
    sources = 0.1 * np.random.default_rng(0).standard_normal((2, 3 * CHUNK * RATE))
    sources[0, 14 * RATE :], sources[1, : 10 * RATE] = 0, 0
    return sources.astype(np.float32)


def test_one_order_for_the_whole_against_the_best_of_each_chunk(talk):
    leaky = talk + 0.1 * talk[::-1]
    found = score(talk.sum(axis=0), talk, leaky[::-1])
    assert found["order_loss"] == pytest.approx(0, abs=1e-6)
    assert found["isolation"] == pytest.approx(20, abs=0.2)
    assert found["si_sdr_i"] == pytest.approx(20, abs=1)
    changed = leaky.copy()
    changed[:, 2 * CHUNK * RATE :] = leaky[::-1, 2 * CHUNK * RATE :]
    assert score(talk.sum(axis=0), talk, changed)["order_loss"] > 3


def test_one_who_says_nothing_has_no_improvement(talk):
    lone = talk.copy()
    lone[1] = 0
    found = score(lone.sum(axis=0), lone, lone[::-1] + 0.01 * lone)
    assert found.keys() == {"isolation"}
    assert found["isolation"] == pytest.approx(40, abs=0.2)


def test_diarization_error(talk, tmp_path):
    pytest.importorskip("spyder")
    path = tmp_path / "a.rttm"
    lines = ["SPEAKER a 1 0 14 <NA> <NA> s1 <NA> <NA>", "SPEAKER a 1 10 14 <NA> <NA> s2 <NA> <NA>"]
    path.write_text("\n".join(lines))
    assert diarization_error(path, talk[::-1]) == pytest.approx(0, abs=0.1)
    silent = talk.copy()
    silent[0] = 0
    assert diarization_error(path, silent) == pytest.approx(50, abs=2)
