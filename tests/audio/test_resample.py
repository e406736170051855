import numpy as np
import pytest

from cplxsep.audio.resample import change_speed, fit, resample, resampled_length

RATES = [8000, 11025, 16000, 22050, 44100, 48000, 192000]


@pytest.mark.parametrize("to_rate", RATES)
@pytest.mark.parametrize("from_rate", RATES)
@pytest.mark.parametrize("samples", [0, 1, 2, 7, 1000, 12345])
def test_exact_length(from_rate, to_rate, samples):
    audio = resample(np.ones(samples, np.float32), from_rate, to_rate)
    assert audio.dtype == np.float32
    assert len(audio) == resampled_length(samples, from_rate, to_rate)
    assert abs(len(audio) - samples * to_rate / from_rate) <= 0.5


@pytest.mark.parametrize(("low", "high"), [(8000, 16000), (8000, 44100), (16000, 48000)])
def test_up_and_down_again(low, high):
    time = np.arange(low) / low
    tone = np.stack([np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 1300 * time)])
    back = resample(resample(tone, low, high), high, low)
    assert back.shape == tone.shape
    assert np.abs(back - tone)[:, 200:-200].max() < 1e-3


def test_channels_stay_apart():
    noise = np.random.default_rng(0).standard_normal((3, 4000)).astype(np.float32)
    together = resample(noise, 16000, 11025)
    for row, channel in zip(together, noise, strict=True):
        np.testing.assert_allclose(row, resample(channel, 16000, 11025), atol=1e-6)


def test_equal_rates_change_nothing():
    noise = np.random.default_rng(0).standard_normal(100).astype(np.float32)
    np.testing.assert_array_equal(resample(noise, 8000, 8000), noise)


@pytest.mark.parametrize("speed", [0.9, 0.987, 1.0312, 1.1])
def test_speed_raises_the_pitch(speed):
    tone = np.sin(2 * np.pi * 500 * np.arange(16000) / 8000).astype(np.float32)
    fast = change_speed(tone, speed)
    assert fast.dtype == np.float32
    assert len(fast) == pytest.approx(16000 / speed, abs=1)
    spectrum = np.abs(np.fft.rfft(fast[:8000] * np.hanning(8000)))
    assert spectrum.argmax() == pytest.approx(500 * speed, abs=1)


def test_fit():
    np.testing.assert_array_equal(fit(np.ones((2, 3)), 5)[:, 2:], [[1, 0, 0]] * 2)
    assert fit(np.ones(3), 2).shape == (2,)
