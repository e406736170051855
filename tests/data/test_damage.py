"""What channels, recorders and coders do to a recording."""

import numpy as np
import pytest
from synthetic import babble

from cplxsep.audio import io
from cplxsep.audio.level import db, rms
from cplxsep.audio.resample import resample
from cplxsep.config import NoiseConfig
from cplxsep.data.damage import Damage, draw_coder, encoded

RATE = 8000
NONE = dict.fromkeys(["band_limited", "clipped", "offset", "hum", "coded"], 0.0)
SPEECH = babble(2.0, RATE, 5)


def spoil(seed=0, rate=RATE, **shares):
    damage = Damage(NoiseConfig(**NONE | shares), rate)
    return damage(SPEECH, SPEECH[None], damage.draw(np.random.default_rng(seed)))


def test_without_damage_nothing_changes():
    mixture, references = spoil()
    np.testing.assert_array_equal(mixture, SPEECH)
    np.testing.assert_array_equal(references, SPEECH[None])


def test_an_offset_is_a_constant_in_the_mixture_alone():
    signs = set()
    for seed in range(8):
        mixture, references = spoil(seed, offset=1.0)
        added = mixture - SPEECH
        assert added.std() < 1e-6
        assert 0.009 < abs(added.mean()) / np.abs(SPEECH).max() < 0.31
        signs.add(np.sign(added.mean()))
        np.testing.assert_array_equal(references[0], SPEECH)
    assert signs == {-1.0, 1.0}


def test_hum_has_the_lines_of_the_mains():
    for seed in range(6):
        mixture, _ = spoil(seed, hum=1.0)
        added = mixture - SPEECH
        assert -41 < db(rms(added) / rms(SPEECH)) < -9
        spectrum = np.abs(np.fft.rfft(added * np.hanning(len(added)))) ** 2
        frequencies = np.fft.rfftfreq(len(added), 1 / RATE)
        inside = [
            spectrum[np.abs(frequencies % base - base / 2) > base / 2 - 2].sum() / spectrum.sum()
            for base in (50, 60)
        ]
        assert max(inside) > 0.9


@pytest.mark.parametrize("rate", [8000, 16000, 11025, 44100])
def test_coders_keep_time_and_level(examples, rate):
    """Every rate has coders that take it, and none of them delays."""
    audio, own_rate = io.read(examples / "two_talkers_s2.wav")
    speech = resample(audio[0, : 3 * own_rate], own_rate, rate)
    for seed in range(8):
        coded = encoded(speech, rate, draw_coder(rate, np.random.default_rng(seed)))
        assert coded.shape == speech.shape
        assert coded.dtype == np.float32
        spectra = np.fft.rfft(np.stack([coded, speech]), 2 * len(speech))
        likeness = np.fft.irfft(spectra[0] * spectra[1].conj()) / (speech @ speech)
        assert np.argmax(likeness) == 0
        assert likeness[0] > 0.8
        assert abs(db(rms(coded) / rms(speech))) < 2
        assert not np.array_equal(coded, speech)


def test_coders_take_silence():
    silence = np.zeros(RATE, np.float32)
    coder = draw_coder(RATE, np.random.default_rng(0))
    np.testing.assert_array_equal(encoded(silence, RATE, coder), silence)
