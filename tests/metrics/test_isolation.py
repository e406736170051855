"""Where one talks alone, and how far the lone one is down in the other outputs."""

import numpy as np
import pytest

from cplxsep.metrics.isolation import isolation, talking

RATE = 8000


def conversation(seconds=8.0):
    """Talker 1 from 0 to 5 s, talker 2 from 3 to 7 s, then nobody."""
    rng = np.random.default_rng(0)
    audio = 0.1 * rng.standard_normal((2, round(seconds * RATE))).astype(np.float32)
    audio[0, 5 * RATE :] = 0
    audio[1, : 3 * RATE] = 0
    audio[1, 7 * RATE :] = 0
    return audio


def test_who_speaks_and_who_is_alone():
    who = talking(conversation(), RATE)
    seconds = who.frame / RATE
    assert who.speaks.sum(axis=1) * seconds == pytest.approx([5, 4], abs=0.1)
    assert who.together.sum() * seconds == pytest.approx(2, abs=0.1)
    # Less the guards around the other's speech.
    assert who.alone.sum(axis=1) * seconds == pytest.approx([2.8, 1.8], abs=0.1)


@pytest.mark.parametrize("leak_db", [-6.0, -20.0, -40.0])
def test_a_known_leak(leak_db):
    references = conversation()
    leaked = references + 10 ** (leak_db / 20) * references[::-1]
    assert isolation(references, leaked, RATE) == pytest.approx([-leak_db] * 2, abs=0.2)


def test_silence_in_the_other_output_is_the_best_there_is():
    references = conversation()
    assert isolation(references, references, RATE) == pytest.approx([100.0, 100.0])
    assert isolation(references, references[::-1], RATE) == pytest.approx([-100.0, -100.0])
    assert isolation(references, 0 * references, RATE) == [0.0, 0.0]


def test_a_talker_who_is_never_alone_and_one_who_says_nothing():
    references = conversation()
    references[0, : 3 * RATE] = 0
    first, second = isolation(references, references, RATE)
    assert first is None
    assert second == pytest.approx(100.0)
    references[1] = 0
    lone, silent = isolation(references, references, RATE)
    assert lone == pytest.approx(100.0)
    assert silent is None
    assert isolation(np.zeros((2, RATE)), np.zeros((2, RATE)), RATE) == [None, None]


def test_a_cut_has_the_samples_of_its_frames():
    references = conversation()
    who = talking(references, RATE)
    cut = who.cut(references, who.together)
    assert cut.shape == (2, who.together.sum() * who.frame)
    assert np.abs(cut).min(axis=0).max() > 0


@pytest.mark.parametrize("samples", [0, 10, 300, 2400, 3400])
def test_short_signals(samples):
    """Regression: shorter than the guard around speech they were an error."""
    references = conversation()[:, 4 * RATE : 4 * RATE + samples]
    assert isolation(references, references, RATE) == [None, None]
