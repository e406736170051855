"""The classical baseline must be a fair one: it removes noise and leaves speech."""

import numpy as np
import pytest
from wiener import wiener

from cplxsep.audio import io
from cplxsep.audio.level import from_db
from cplxsep.data.mixing import mix
from cplxsep.metrics.sisdr import si_sdr

RATE = 16000


@pytest.fixture(scope="module")
def speech(examples):
    audio, rate = io.read(examples / "two_talkers_s2.wav")
    assert rate == RATE
    return audio[0]


@pytest.mark.parametrize(("snr", "gain"), [(0.0, 5.0), (10.0, 3.0)])
def test_steady_noise_is_taken_from_speech(speech, snr, gain):
    noise = np.random.default_rng(2).standard_normal(speech.size).astype(np.float32)
    mixed = mix([speech, noise], snr_db=[0.0, snr], sample_rate=RATE, peak=None)
    before = si_sdr(mixed.sources[0], mixed.mixture)
    assert si_sdr(mixed.sources[0], wiener(mixed.mixture, RATE)) > before + gain


def test_noise_alone_is_turned_down_and_louder_noise_is_learnt():
    noise = np.random.default_rng(3).standard_normal(8 * RATE).astype(np.float32)
    noise[2 * RATE :] *= from_db(10)
    out = wiener(noise, RATE)
    for start in (RATE, 6 * RATE):
        part = slice(start, start + RATE)
        assert np.std(out[part]) < from_db(-10) * np.std(noise[part])


def test_clean_speech_is_left_nearly_untouched(speech):
    assert si_sdr(speech, wiener(speech, RATE)) > 20


def test_silence_stays_silence_and_lengths_stay():
    assert not wiener(np.zeros(5001, np.float32), RATE).any()
    assert wiener(np.ones(777, np.float32), RATE).shape == (777,)
