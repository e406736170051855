"""Talkers, rooms and noise, brought to their levels and added."""

import numpy as np
import pytest
from synthetic import babble

from cplxsep.audio.level import active_rms, db
from cplxsep.data.scene import assemble

RATE = 8000
TALK = np.stack([babble(2.0, RATE, 1), 0.1 * babble(2.0, RATE, 2)])
NOISE = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)


def room(seed):
    rng = np.random.default_rng(seed)
    response = 0.1 * rng.standard_normal(RATE // 4) * np.exp(-np.arange(RATE // 4) / 400)
    response[16] = 1.0
    return response.astype(np.float32)


@pytest.mark.parametrize("ratio", [-10.0, 0.0, 7.5])
@pytest.mark.parametrize("reference", ["heard", "early", "dry"])
def test_levels_are_those_of_what_arrives(ratio, reference):
    scene = assemble(
        TALK,
        snr_db=[0.0, ratio],
        sample_rate=RATE,
        responses=[room(1), room(2)],
        reference=reference,
        noise=NOISE,
        noise_snr_db=12.0,
    )
    first, second = (active_rms(own, RATE) for own in scene.heard)
    assert db(first / second) == pytest.approx(ratio, abs=0.01)
    loud = active_rms(scene.heard.sum(axis=0), RATE)
    assert db(loud / active_rms(scene.noise, RATE)) == pytest.approx(12.0, abs=0.01)
    np.testing.assert_allclose(scene.mixture, scene.heard.sum(axis=0) + scene.noise, atol=1e-6)
    if reference == "heard":
        np.testing.assert_array_equal(scene.references, scene.heard)
    else:
        # In time and at the level of what is heard: the rest is late.
        for own, heard in zip(scene.references, scene.heard, strict=True):
            gain = own @ heard / (own @ own)
            assert gain == pytest.approx(1.0, abs=0.3)


def test_who_says_nothing_stays_silent_and_changes_nothing():
    lone = TALK.copy()
    lone[0] = 0.0
    scene = assemble(lone, snr_db=[0.0, -5.0], sample_rate=RATE, noise=NOISE, noise_snr_db=20.0)
    assert not scene.heard[0].any()
    np.testing.assert_allclose(scene.heard[1], lone[1])
    loud = active_rms(scene.heard[1], RATE)
    assert db(loud / active_rms(scene.noise, RATE)) == pytest.approx(20.0, abs=0.01)


def test_noise_alone_keeps_its_level():
    scene = assemble(0 * TALK, snr_db=[0.0, 0.0], sample_rate=RATE, noise=NOISE)
    np.testing.assert_array_equal(scene.mixture, NOISE)
    assert not scene.references.any()


def test_a_gain_changes_all_alike():
    scene = assemble(TALK, snr_db=[0.0, 3.0], sample_rate=RATE, noise=NOISE, noise_snr_db=5.0)
    half = scene.scaled(0.5)
    for name in ("references", "heard", "noise"):
        np.testing.assert_array_equal(getattr(half, name), 0.5 * getattr(scene, name))
    np.testing.assert_allclose(half.mixture, 0.5 * scene.mixture, atol=1e-7)
