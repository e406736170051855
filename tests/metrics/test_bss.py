"""SDR, SIR and SAR against mir_eval, and where they are not defined."""

import warnings

import numpy as np
import pytest
import soundfile
from scored import bss_eval

from cplxsep.metrics.bss import bss_pairs
from cplxsep.metrics.coherence import LIMIT_DB


def coloured(count: int, length: int, seed: int = 0) -> np.ndarray:
    """Noise with a falling spectrum, another for each source."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal((count, length + 200))
    signals = [
        np.convolve(row, 0.97 ** (np.arange(200) * (1 + j)), "valid")[:length]
        for j, row in enumerate(white)
    ]
    return np.stack(signals)


def separated(references: np.ndarray, leak: float = 0.3, noise: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(1)
    others = references.sum(axis=0) - references
    level = references.std(axis=1, keepdims=True)
    return references + leak * others + noise * level * rng.standard_normal(references.shape)


def mir_eval_scores(references: np.ndarray, estimates: np.ndarray):
    separation = pytest.importorskip("mir_eval.separation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return separation.bss_eval_sources(references, estimates)


def assert_agrees(references: np.ndarray, estimates: np.ndarray) -> None:
    ours = bss_eval(references, estimates)
    sdr, sir, sar, permutation = mir_eval_scores(references, estimates)
    np.testing.assert_array_equal(ours.permutation, permutation)
    np.testing.assert_allclose(ours.sdr, sdr, atol=1e-3)
    np.testing.assert_allclose(ours.sir, sir, atol=1e-3)
    np.testing.assert_allclose(ours.sar, sar, atol=1e-3)


@pytest.mark.parametrize(("order", "leak"), [([0, 1], 0.01), ([1, 0], 0.5), ([1, 0], 2.0)])
def test_two_sources_agree_with_mir_eval(order, leak):
    references = coloured(2, 6000)
    assert_agrees(references, separated(references, leak)[order])


def test_three_sources_agree_with_mir_eval():
    references = coloured(3, 3000)
    assert_agrees(references, separated(references)[[2, 0, 1]])


def test_one_source_agrees_with_mir_eval():
    references = coloured(1, 6000)
    assert_agrees(references, separated(references))
    assert np.isinf(bss_eval(references, separated(references)).sir).all()


@pytest.mark.parametrize("gain", [1e-8, 1e4])
def test_any_level_agrees_with_mir_eval(gain):
    references = coloured(2, 4000)
    assert_agrees(references, gain * separated(references))
    assert_agrees(gain * references, separated(references))


def test_tones_agree_with_mir_eval():
    t = np.arange(6000) / 8000
    references = np.sin(2 * np.pi * np.array([[440.0], [1000.0]]) * t)
    assert_agrees(references, separated(references))


def test_the_shipped_example_agrees_with_mir_eval(examples):
    files = [examples / f"two_talkers_s{j}.wav" for j in (1, 2)]
    references = np.stack([soundfile.read(file, frames=32000)[0][::2] for file in files])
    assert_agrees(references, separated(references)[::-1])


def test_speech_agrees_with_mir_eval(shared_data):
    """Some of the real examples; benchmarks/scoring.py takes 50."""
    files = sorted((shared_data / "speech" / "speechocean762").glob("*/*1.opus"))[:8]
    assert len(files) == 8
    for pair in zip(files[::2], files[1::2], strict=True):
        references = np.stack([soundfile.read(file, frames=16000)[0] for file in pair])
        assert_agrees(references, separated(references)[::-1])


def test_below_the_filter_length_agrees_with_mir_eval():
    references = coloured(2, 300)
    ours = bss_eval(references, separated(references))
    sdr, sir, sar, _ = mir_eval_scores(references, separated(references))
    np.testing.assert_allclose(ours.sdr, sdr, atol=1e-3)
    np.testing.assert_allclose(ours.sir, sir, atol=1e-3)
    # Two 512-tap filters make any 300 samples: no artefacts, up to the limit.
    np.testing.assert_allclose(ours.sar, LIMIT_DB)
    assert (sar > LIMIT_DB).all()


@pytest.mark.parametrize("length", [1, 2, 100, 511, 512, 513])
def test_short_signals_do_not_crash(length):
    rng = np.random.default_rng(length)
    references, estimates = rng.standard_normal((2, 2, length))
    scores = bss_eval(references, estimates)
    assert sorted(scores.permutation) == [0, 1]
    assert (length == 1) == np.isnan(scores.sdr).all()


def test_order_and_level_of_estimates_do_not_count():
    references = coloured(3, 4000)
    estimates = separated(references)
    plain = bss_eval(references, estimates)
    order = np.array([1, 2, 0])
    moved = bss_eval(references, -5.0 * estimates[order])
    np.testing.assert_array_equal(order[moved.permutation], plain.permutation)
    for name in ("sdr", "sir", "sar"):
        np.testing.assert_allclose(getattr(moved, name), getattr(plain, name), atol=1e-6)


def test_references_as_estimates_score_the_limit():
    references = coloured(2, 4000)
    scores = bss_eval(references, references)
    for values in (scores.sdr, scores.sir, scores.sar):
        np.testing.assert_allclose(values, LIMIT_DB)


def test_a_silent_reference_leaves_the_scores_of_the_other():
    references = coloured(2, 4000)
    estimates = separated(references)
    references[1] = 0
    scores = bss_eval(references, estimates)
    np.testing.assert_array_equal(scores.permutation, [0, 1])
    assert scores.sdr[0] == pytest.approx(bss_eval(references[:1], estimates[:1]).sdr[0])
    assert np.isnan([scores.sdr[1], scores.sir[1], scores.sar[1]]).all()


def test_a_silent_estimate_leaves_the_scores_of_the_other():
    references = coloured(2, 4000)
    estimates = separated(references)
    whole = bss_eval(references, estimates)
    estimates[0] = 0
    scores = bss_eval(references, estimates)
    np.testing.assert_array_equal(scores.permutation, [0, 1])
    assert scores.sir[1] == pytest.approx(whole.sir[1])
    assert np.isnan([scores.sdr[0], scores.sir[0], scores.sar[0]]).all()


def test_all_silent():
    scores = bss_eval(np.zeros((2, 1000)), np.zeros((2, 1000)))
    assert np.isnan(scores.sdr).all()


@pytest.mark.parametrize("gain", [1.0, -3.0])
def test_equal_references_are_dependent(gain):
    references = coloured(2, 4000)
    pairs = bss_pairs(np.stack([references[0], gain * references[0]]), references)
    assert pairs.dependent
    assert np.isnan([pairs.sir, pairs.sar]).all()
    # Each reference by itself is as good as ever: what the SDR asks has an answer.
    alone = bss_pairs(references[:1], references)
    np.testing.assert_allclose(pairs.sdr, np.repeat(alone.sdr, 2, axis=0), atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_sdr_alone_is_the_sdr_of_all(count):
    references = coloured(count, 3000)
    mixed = separated(references)[::-1]
    alone, full = bss_pairs(references, mixed, interference=False), bss_pairs(references, mixed)
    np.testing.assert_allclose(alone.sdr, full.sdr, atol=1e-6)
    assert np.isnan([alone.sir, alone.sar]).all()
    assert not alone.dependent


@pytest.mark.parametrize("snr", [-10.0, 0.0, 20.0])
def test_a_known_level_of_noise_gives_a_known_sdr(snr):
    """Of S dimensions of white noise, 512 taps of the reference explain 512."""
    rng = np.random.default_rng(3)
    reference, noise = rng.standard_normal((2, 40000))
    level = 10 ** (-snr / 20)
    noise *= level * np.linalg.norm(reference) / np.linalg.norm(noise)
    part = 512 / 40000
    expected = 10 * np.log10((1 + part * level**2) / ((1 - part) * level**2))
    assert bss_eval(reference, reference + noise).sdr[0] == pytest.approx(expected, abs=0.25)


def test_a_filter_of_the_reference_costs_nothing():
    reference = coloured(1, 6000)
    reference[0, -100:] = 0
    echo = np.convolve(reference[0], [1.0, *[0.0] * 80, 0.5])[:6000]
    assert bss_eval(reference, echo).sdr[0] > 80


def test_an_estimate_outside_all_references():
    references = np.zeros((2, 4000))
    references[0, 100:200], references[1, 300:400] = coloured(2, 100)
    estimates = np.zeros((2, 4000))
    estimates[:, 3000:3200] = coloured(2, 200)
    scores = bss_eval(references, estimates)
    np.testing.assert_allclose(scores.sdr, -LIMIT_DB)
    assert np.isfinite(scores.sir).all()


def test_lengths_that_differ():
    with pytest.raises(ValueError, match="100 samples"):
        bss_pairs(np.ones((2, 100)), np.ones((2, 99)))
