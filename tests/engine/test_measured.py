"""What is done to chunks and measured of their sources beside a network, on its device."""

import numpy as np
import pytest
import torch
from standins import Stand, copies

from cplxsep.audio.level import frame_of
from cplxsep.engine.measured import measure, measured
from cplxsep.engine.offset import without_offset
from cplxsep.engine.runtime import Runner
from cplxsep.networks.speaker_embedding import DIMENSIONS

RATE = 8000


def talk(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_tone_has_its_power(rate):
    time = np.arange(rate) / rate
    tones = np.stack([np.sin(2 * np.pi * 500 * time), 0.1 * np.sin(2 * np.pi * 2000 * time)])
    powers, embedded = measured(tones.astype(np.float32), rate)
    frames = rate // frame_of(rate)
    assert powers.shape == (2, frames)
    assert embedded.shape == (2, frames, DIMENSIONS)
    np.testing.assert_allclose(powers.mean(1), [0.5, 0.005], rtol=1e-2)


@pytest.mark.parametrize("samples", [100, 256, 4000])
def test_many_chunks_are_as_each_alone(samples):
    sources = torch.from_numpy(talk(5, 2, samples))
    found = measure(sources, RATE)
    assert found[0].dtype == torch.float64
    for index, own in enumerate(sources):
        for many, alone in zip(found, measured(own.numpy(), RATE), strict=True):
            np.testing.assert_allclose(many[index], alone, rtol=1e-5, atol=1e-5)
    chunks = torch.from_numpy(talk(5, samples) + 0.3)
    together = without_offset(chunks, RATE)
    for index, own in enumerate(chunks):
        assert torch.equal(together[index], without_offset(own[None], RATE)[0])


@pytest.mark.parametrize("gain", [1e-25, 1e18])
def test_no_level_is_too_low_or_too_high(gain):
    """Regression: squares that are no float32 made embeddings that are no numbers."""
    sources = talk(2, 4000)
    embedded = measured(sources, RATE).embedded
    np.testing.assert_allclose(measured(gain * sources, RATE).embedded, embedded, atol=1e-3)


def test_silence_is_measured():
    powers, embedded = measured(np.zeros((2, 4000), np.float32), RATE)
    assert not powers.any()
    assert np.isfinite(embedded).all()


def test_a_source_of_less_than_a_frame_tells_of_nobody():
    powers, embedded = measured(talk(2, 100), RATE)
    assert powers.shape == (2, 1)
    assert not embedded.any()


def runner(batch, network=copies):
    def after(sources):
        return sources.sum(dim=(1, 2)), sources.abs().amax(-1)

    def around(network):
        return lambda chunks: network(2 * chunks)

    return Runner(Stand(network), torch.device("cpu"), None, batch, 100, around, after)


def test_silent_chunks_are_measured_too_and_all_stay_in_their_places():
    chunks = talk(7, 50)
    chunks[[0, 4]] = 0.0
    for batch in (1, 3, 8):
        sources, sums, peaks = runner(batch)(chunks, 2)
        np.testing.assert_array_equal(sources, 2 * np.stack([chunks, chunks], axis=1))
        np.testing.assert_allclose(sums, 4 * chunks.sum(1), rtol=1e-4)
        np.testing.assert_array_equal(peaks, 2 * np.abs(np.stack([chunks, chunks], 1)).max(-1))


def test_where_memory_is_short_the_measures_are_still_those_of_their_chunks():
    def greedy(mixture):
        if len(mixture) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return copies(mixture)

    chunks = talk(5, 50)
    for found, wanted in zip(runner(8, greedy)(chunks, 2), runner(8)(chunks, 2), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_gpu_measures_the_same(rate):
    chunks, sources = torch.from_numpy(talk(3, rate) + 0.3), torch.from_numpy(talk(3, 2, rate))
    heard = without_offset(chunks.cuda(), rate).cpu()
    torch.testing.assert_close(heard, without_offset(chunks, rate), rtol=1e-5, atol=1e-6)
    for found, wanted in zip(measure(sources.cuda(), rate), measure(sources, rate), strict=True):
        torch.testing.assert_close(found.cpu(), wanted, rtol=1e-4, atol=1e-4)
