import numpy as np
import pytest

from cplxsep.audio.level import Mean, active_rms, common_gain, db, from_db, rms


def test_decibels():
    assert from_db(20.0) == pytest.approx(10.0)
    assert db(from_db(-7.3)) == pytest.approx(-7.3)
    assert db(0.0) == -np.inf


def test_rms():
    assert rms(np.array([3.0, -3.0, 3.0])) == pytest.approx(3.0)
    np.testing.assert_allclose(rms(np.ones((2, 5), np.float32)), [1.0, 1.0])
    np.testing.assert_allclose(rms(np.zeros((2, 0), np.float32)), [0.0, 0.0])


def test_int16_does_not_overflow():
    assert rms(np.full(10, 30000, np.int16)) == pytest.approx(30000)


def test_silence_around_does_not_lower_the_active_level():
    noise = np.random.default_rng(0).standard_normal(8192).astype(np.float32)
    padded = np.concatenate([np.zeros(8192), noise, np.zeros(81920)])
    assert active_rms(padded, 8000) == pytest.approx(float(rms(noise)), rel=1e-6)
    assert rms(padded) < 0.4 * rms(noise)


def test_active_level_scales_and_takes_any_length():
    noise = np.random.default_rng(0).standard_normal(5000)
    assert active_rms(3 * noise, 8000) == pytest.approx(3 * active_rms(noise, 8000))
    assert active_rms(np.array([0.5]), 8000) == 0.5
    assert active_rms(np.zeros(5000), 8000) == 0.0
    assert active_rms(np.zeros(0), 8000) == 0.0


@pytest.mark.parametrize("highest", [1.0001, 1.7, 1000.0])
def test_common_gain_brings_the_peak_to_full_scale(highest):
    audio = np.array([[0.1, -highest], [0.2, 0.3]], np.float32)
    scaled = audio * np.float32(common_gain(audio))
    assert 0.99999 < np.abs(scaled).max() <= 1.0


def test_common_gain_leaves_what_fits():
    assert common_gain(np.array([0.5, -1.0])) == 1.0
    assert common_gain(np.zeros(0)) == 1.0


def test_sound_after_the_last_whole_frame_has_a_level():
    audio = np.zeros(600, np.float32)
    audio[590:] = 0.5
    assert active_rms(audio, 8000) == pytest.approx(float(rms(audio)))


def test_the_mean_of_the_loudest_channels():
    """Regression: their sum was infinite, and the recording refused for that."""
    block = np.full((2, 9), 3e38, np.float32)
    np.testing.assert_array_equal(Mean()(block), block[0])
