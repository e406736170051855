"""What is left of the input: spread, given beside, or its upper band let through."""

import numpy as np
import pytest
import torch
from standins import without_offset

from cplxsep.engine.enhance import Enhancement, enhanced
from cplxsep.errors import UsageError

WIDE = 32000  # Hz, four times the stand-in's rate


def half(mixture):
    return 0.5 * mixture.unsqueeze(1)


def nothing(mixture):
    return torch.zeros_like(mixture).unsqueeze(1)


def high(signal, rate, above):
    spectrum = np.fft.rfft(signal)
    spectrum[np.fft.rfftfreq(len(signal), 1 / rate) < above] = 0
    return np.fft.irfft(spectrum, len(signal))


@pytest.fixture
def wide(talk):
    return talk(3.0, WIDE)


def whole(parts):
    return np.concatenate(list(parts), axis=-1)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
@pytest.mark.parametrize("at_model_rate", [False, True])
def test_the_rest_is_what_the_sources_leave(make_separator, talk, rate, at_model_rate):
    separator = make_separator(chunk=1.0)
    signal = talk(3.0, rate)
    plain = whole(separator.stream([signal], rate, at_model_rate=at_model_rate))
    more = whole(separator.stream([signal], rate, at_model_rate=at_model_rate, rest=True))
    np.testing.assert_array_equal(more[:2], plain)
    if not at_model_rate:
        np.testing.assert_allclose(more.sum(axis=0), signal, atol=1e-6)


@pytest.mark.parametrize("chunk", [1.0, 10.0])
def test_the_band_above_is_kept_followed_or_dropped(make_separator, wide, chunk):
    separator = make_separator(half, sources=1, chunk=chunk)
    given = high(wide, WIDE, 4500)
    found = {
        fate: high(whole(separator.stream([wide], WIDE, above=fate))[0], WIDE, 4500)
        for fate in ("keep", "follow", "drop")
    }
    loud = np.abs(given).max()
    np.testing.assert_allclose(found["keep"], given, atol=0.01 * loud)
    np.testing.assert_allclose(found["follow"], 0.5 * given, atol=0.02 * loud)
    np.testing.assert_allclose(found["drop"], 0, atol=0.01 * loud)


def test_the_band_that_the_model_hears_is_the_same_whatever_is_above(make_separator, wide):
    separator = make_separator(half, sources=1, chunk=1.0)
    low = []
    for fate in ("keep", "follow", "drop"):
        out = whole(separator.stream([wide], WIDE, above=fate))[0]
        low.append((out - high(out, WIDE, 3000))[500:-500])
    np.testing.assert_allclose(low[0], low[2], atol=1e-4)
    np.testing.assert_allclose(low[1], low[2], atol=1e-3)


def test_nothing_is_above_at_the_models_rate(make_separator, talk):
    separator = make_separator(half, sources=1)
    for signal in (talk(1.0), talk(1.0) + np.float32(0.3)):
        np.testing.assert_allclose(
            whole(separator.stream([signal], 8000, above="keep"))[0],
            0.5 * without_offset(signal, 8000),
            atol=1e-7,
        )


def test_the_band_above_belongs_to_one_source(make_separator, wide):
    with pytest.raises(UsageError, match="model of one source, this one has 2"):
        list(make_separator().stream([wide], WIDE, above="keep"))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_each_channel_is_enhanced_for_itself(make_separator, talk, channels):
    separator = make_separator(half, sources=1, chunk=1.0)
    signal = np.stack([talk(2.5, seed=seed) for seed in range(channels)])
    blocks = np.split(signal, [100, 5000, 5001], axis=1)
    out = whole(enhanced(separator, blocks, channels, 8000, Enhancement(keep_noise=True)))
    assert out.shape == (2, *signal.shape)
    for channel, given in zip(out[0], signal, strict=True):
        np.testing.assert_allclose(channel, 0.5 * without_offset(given, 8000), atol=1e-3)
    np.testing.assert_allclose(out.sum(axis=0), signal, atol=1e-7)


@pytest.mark.parametrize(("mix_back", "gain"), [(None, 0.0), (-20.0, 0.1), (0.0, 1.0)])
def test_noise_is_mixed_back_at_its_level(make_separator, talk, mix_back, gain):
    separator = make_separator(nothing, sources=1)
    signal = talk(1.0)[None]
    what = Enhancement(keep_noise=True, mix_back=mix_back)
    voice, noise = whole(enhanced(separator, [signal], 1, 8000, what))
    np.testing.assert_allclose(voice, gain * signal, atol=1e-7)
    np.testing.assert_allclose(noise, (1 - gain) * signal, atol=1e-7)
