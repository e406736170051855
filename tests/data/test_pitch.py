"""The pitch of voices."""

import numpy as np
import pytest

from cplxsep.audio import io
from cplxsep.data.pitch import median_pitch

RATE = 8000


def voice(pitch, seconds=2.0, rate=RATE):
    """Pulses through two formants, with a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    harmonics = np.arange(1, int(3000 / pitch))
    loud = 1 / (1 + ((harmonics * pitch - 500) / 200) ** 2) + 0.3
    audio = loud @ np.cos(2 * np.pi * pitch * harmonics[:, None] * time)
    noise = np.random.default_rng(0).standard_normal(len(time))
    return (audio / np.abs(audio).max() + 0.01 * noise).astype(np.float32)


@pytest.mark.parametrize("pitch", [85, 120, 190, 260])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_pitch_of_a_steady_voice(pitch, rate):
    assert median_pitch(voice(pitch, rate=rate), rate) == pytest.approx(pitch, rel=0.04)


def test_level_and_type_do_not_matter():
    steps = np.rint(voice(150) * 20000).astype(np.int16)
    assert median_pitch(steps, RATE) == pytest.approx(150, rel=0.04)


def test_noise_silence_and_nothing_have_none():
    assert median_pitch(np.random.default_rng(0).standard_normal(2 * RATE), RATE) is None
    assert median_pitch(np.zeros(2 * RATE), RATE) is None
    assert median_pitch(np.zeros(10), RATE) is None


def test_real_speech(examples):
    """The two talkers of the example, a man and a woman."""
    pitches = []
    for name in ("two_talkers_s1.wav", "two_talkers_s2.wav"):
        (audio,), rate = io.read(examples / name)
        pitches.append(median_pitch(audio, rate))
    assert 80 < min(pitches) < max(pitches) < 260
