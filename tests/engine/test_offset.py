"""A recording with a constant offset is separated as one without it."""

import numpy as np
import pytest
from standins import RATE, Stand, halves, without_offset

from cplxsep.engine.separator import Separator

RATES = [8000, 11025, 44100]


def whole(separator, signal, rate, size, **options):
    blocks = [signal[start : start + size] for start in range(0, len(signal), size)]
    return np.concatenate(list(separator.stream(blocks, rate, **options)), axis=1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("offset", [0.1, -0.4])
def test_an_offset_changes_no_source(make_separator, talk, rate, offset):
    signal, separator = talk(5.0, rate), make_separator(halves, chunk=1.0)
    expected = separator(signal, rate)
    found = separator((signal + offset).astype(np.float32), rate)
    streamed = whole(separator, (signal + offset).astype(np.float32), rate, 1237)
    assert np.abs(streamed - found).max() < 1e-5
    # At another rate the offset begins and ends with the file, as steps that are a few ms long.
    inner = slice(0, None) if rate == RATE else slice(rate // 20, -rate // 20)
    assert np.abs(found - expected)[:, inner].max() < 2e-4
    assert abs(found[:, inner].mean()) < 1e-4


def test_an_offset_that_comes_late_does_no_harm_elsewhere(make_separator, talk):
    """As where a recorder is switched: no trace of it is left a moment later."""
    signal = talk(6.0)
    late = signal + np.float32(0.3) * (np.arange(signal.size) >= 3 * RATE)
    separator = make_separator(halves, chunk=1.0)
    found, expected = separator(late, RATE), separator(signal, RATE)
    far = np.abs(np.arange(signal.size) - 3 * RATE) > 1.5 * RATE
    assert np.abs(found - expected)[:, far].max() < 1e-4


@pytest.mark.parametrize("rate", RATES)
def test_with_sum_to_mix_the_offset_is_there_again(make_separator, talk, rate):
    signal = talk(3.0, rate) + np.float32(0.2)
    sources = make_separator(halves, chunk=1.0)(signal, rate, sum_to_mix=True)
    assert np.abs(sources.sum(axis=0) - signal).max() < 1e-5


def test_a_constant_is_silence():
    network = Stand(halves)
    sources = Separator(network, device="cpu")(np.full(3 * RATE, 0.3, np.float32), RATE)
    assert not sources.any()
    assert network.shapes == []


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(("frequency", "least", "most"), [(2, 0, 0.1), (80, 0.999, 1.001)])
def test_a_voice_stays_and_a_drift_goes(rate, frequency, least, most):
    tone = np.sin(2 * np.pi * frequency * np.arange(4 * rate) / rate).astype(np.float32)
    inner = slice(rate, 3 * rate)
    left = without_offset(tone, rate)[inner]
    assert least <= np.linalg.norm(left) / np.linalg.norm(tone[inner]) <= most
