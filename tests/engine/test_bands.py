"""The gain of the highest band, by which the band above follows."""

import numpy as np
import pytest

from cplxsep.engine.finish import follow_gain

RATE = 16000


def noise(seconds=1.0, seed=0):
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)


@pytest.mark.parametrize("gain", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_a_constant_gain_is_found_and_never_exceeds_one(gain):
    found = follow_gain(noise(), gain * noise(), RATE)
    assert found.shape == (RATE,)
    np.testing.assert_allclose(found, min(gain, 1.0), atol=1e-3)


def test_only_the_highest_band_counts():
    time = np.arange(RATE) / RATE
    low, high = np.sin(2 * np.pi * 1000 * time), np.sin(2 * np.pi * 7000 * time)
    found = follow_gain(low + high, 0.1 * low + high, RATE)
    np.testing.assert_allclose(found[500:-500], 1.0, atol=0.01)
    found = follow_gain(low + high, low + 0.1 * high, RATE)
    np.testing.assert_allclose(found[500:-500], 0.1, atol=0.01)


def test_it_follows_in_time():
    signal = noise()
    changed = signal.copy()
    changed[RATE // 2 :] = 0
    found = follow_gain(signal, changed, RATE)
    assert found[: RATE // 2 - 600].min() > 0.9
    assert found[RATE // 2 + 600 :].max() < 1e-3


@pytest.mark.parametrize("samples", [1, 10, 600, 5000])
def test_any_length_and_silence(samples):
    assert np.isfinite(follow_gain(np.zeros(samples), np.zeros(samples), RATE)).all()
    assert follow_gain(noise()[:samples], noise()[:samples], RATE).shape == (samples,)
