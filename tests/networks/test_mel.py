import numpy as np
import pytest
import torch

from cplxsep.audio.level import frame_of
from cplxsep.networks.mel import BANDS, bands_within, mel_powers


def tones(hertz, rate, gain=1.0):
    time = np.arange(rate) / rate
    frames = gain * np.sin(2 * np.pi * hertz * time)[: rate // frame_of(rate) * frame_of(rate)]
    return torch.from_numpy(frames.reshape(-1, frame_of(rate)).astype(np.float32))


@pytest.mark.parametrize("hertz", [150, 500, 2000, 3500])
def test_a_tone_is_in_one_band_at_every_rate(hertz):
    found = [
        set(mel_powers(tones(hertz, rate), rate).argmax(-1).tolist())
        for rate in (8000, 11025, 16000, 44100)
    ]
    assert len(found[0]) == 1
    assert all(bands == found[0] for bands in found)


def test_bands_go_up_with_the_tone():
    found = [
        int(mel_powers(tones(hertz, 16000), 16000).mean(0).argmax())
        for hertz in (100, 300, 1000, 3000, 7000)
    ]
    assert found == sorted(set(found))
    assert found[-1] < BANDS


def test_bands_that_a_rate_does_not_hold_are_empty():
    assert bands_within(16000) == bands_within(48000) == BANDS
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 256)).astype(np.float32))
    for rate in (4000, 8000):
        there = bands_within(rate)
        assert 0 < there < bands_within(2 * rate) <= BANDS
        powers = mel_powers(noise, rate)
        assert (powers[:, 5:there] > 0).all()
        assert not powers[:, there:].any()
