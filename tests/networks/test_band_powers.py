import numpy as np
import pytest
import torch

from cplxsep.audio.level import frame_of
from cplxsep.networks.bands import APART, BANDS, NARROW, band_powers, bands_within, edges


def powers(audio, rate):
    """Of frames of 32 ms."""
    frame = frame_of(rate)
    frames = audio[: len(audio) // frame * frame].reshape(-1, frame)
    return band_powers(torch.from_numpy(frames.astype(np.float32)), rate)


def tone(hertz, rate):
    return np.sin(2 * np.pi * hertz * np.arange(rate) / rate)


@pytest.mark.parametrize(
    ("which", "hertz"),
    [(slice(NARROW), 150), (slice(NARROW), 500)]
    + [(slice(NARROW, BANDS), hertz) for hertz in (150, 500, 2000, 3500)],
)
def test_a_tone_is_in_one_band_at_every_rate(which, hertz):
    rates = (8000, 11025, 16000, 44100)
    found = [set(powers(tone(hertz, rate), rate)[:, which].argmax(-1).tolist()) for rate in rates]
    assert len(found[0]) == 1
    assert all(bands == found[0] for bands in found)


def test_bands_go_up_with_the_tone():
    for which, tones in (
        (slice(NARROW), (100, 150, 200, 500, 900)),
        (slice(NARROW, BANDS), (100, 300, 1000, 3000, 7000)),
    ):
        found = [
            int(powers(tone(hertz, 16000), 16000)[:, which].mean(0).argmax()) for hertz in tones
        ]
        assert found == sorted(set(found))


def test_harmonics_are_seen_apart_in_narrow_bands_alone():
    pitch = 4 * APART  # 125 Hz
    voice = sum(tone(pitch * harmonic, 16000) for harmonic in range(1, 64))
    narrow, mel = powers(voice, 16000).mean(0).split((NARROW, BANDS - NARROW))
    middles = edges()[:NARROW, 1]
    at, between = (narrow[(middles + offset) % pitch == 0] for offset in (0, pitch / 2))
    assert len(at) == len(between) == NARROW / 4
    assert at.min() > 100 * between.max()
    assert mel[10:].max() < 3 * mel[10:].min()


def test_bands_that_a_rate_does_not_hold_are_empty():
    assert bands_within(16000) == bands_within(48000) == BANDS
    noise = np.random.default_rng(0).standard_normal(1024)
    for rate in (4000, 8000):
        there = bands_within(rate)
        assert NARROW < there < bands_within(2 * rate) <= BANDS
        found = powers(noise, rate)
        assert (found[:, [*range(NARROW), *range(NARROW + 5, there)]] > 0).all()
        assert not found[:, there:].any()
