"""Active speech level: properties of ITU-T P.56, method B."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic import babble

from cplxsep.audio.level import db, rms
from cplxsep.audio.p56 import _band, p56_level


def tone(seconds, sample_rate, frequency=1000.0):
    return np.sin(2 * np.pi * frequency * np.arange(round(seconds * sample_rate)) / sample_rate)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 48000])
def test_of_a_steady_tone_it_is_the_rms(sample_rate):
    audio = tone(10.0, sample_rate)
    assert db(p56_level(audio, sample_rate)) == pytest.approx(db(float(rms(audio))), abs=0.02)


@pytest.mark.parametrize("pause", [2.0, 20.0])
def test_a_pause_counts_for_its_hangover_alone(pause):
    audio = np.concatenate([tone(10.0, 8000), np.zeros(round(pause * 8000))])
    # 0.2 s of hangover, and the envelope's own fall.
    active = 10.0 + 0.2 + 0.09
    wanted = db(1 / np.sqrt(2)) + 10 * np.log10(10.0 / active)
    assert db(p56_level(audio, 8000)) == pytest.approx(wanted, abs=0.02)


def test_short_pauses_count_as_speech():
    burst = tone(0.3, 8000)
    gaps = np.concatenate([np.concatenate([burst, np.zeros(800)]) for _ in range(20)])
    assert p56_level(gaps, 8000) == pytest.approx(float(rms(gaps)), rel=0.01)


@given(st.floats(-60, 20), st.integers(0, 5))
def test_it_follows_the_gain(gain_db, seed):
    audio = babble(2.0, 8000, seed)
    louder = audio * 10 ** (gain_db / 20)
    # Thresholds are fixed powers of two: between them the level is interpolated.
    difference = db(p56_level(louder, 8000)) - db(p56_level(audio, 8000))
    assert difference == pytest.approx(gain_db, abs=0.3)
    assert db(p56_level(audio * 4, 8000)) == pytest.approx(db(4 * p56_level(audio, 8000)), abs=1e-9)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 44100])
def test_band(sample_rate):
    impulse = np.zeros(1 << 15)
    impulse[0] = 1.0
    spectrum = np.abs(np.fft.rfft(_band(impulse, sample_rate)))
    frequencies = np.fft.rfftfreq(1 << 15, 1 / sample_rate)

    def at(frequency):
        return db(float(np.interp(frequency, frequencies, spectrum)))

    assert at(200) == pytest.approx(-0.25, abs=0.01)
    assert at(60) < -49
    assert at(1000) == pytest.approx(0, abs=0.01)
    if sample_rate > 14000:
        assert at(5500) == pytest.approx(-0.25, abs=0.01)


def test_hum_below_the_band_does_not_count():
    audio = tone(5.0, 8000)
    assert p56_level(audio + tone(5.0, 8000, 50.0), 8000) == pytest.approx(
        p56_level(audio, 8000), rel=0.01
    )


def test_what_lies_deeper_than_the_margin_does_not_count():
    # The envelope of the quiet part is 18 dB below that of the loud one: 3 dB under the threshold.
    loud = tone(5.0, 8000)
    quiet = tone(20.0, 8000) * 10 ** (-18 / 20)
    both = p56_level(np.concatenate([loud, quiet]), 8000)
    assert db(both) == pytest.approx(db(p56_level(loud, 8000)), abs=0.1)


def test_silence_and_little():
    assert p56_level(np.zeros(8000), 8000) == 0.0
    assert p56_level(np.ones(1), 8000) > 0.0
    assert p56_level(np.full(8000, 1e-30), 8000) >= 0.0
