"""The benchmark of clipping: what its figure says of vectors of known signal and noise."""

import gradient_clipping as bench
import numpy as np
import pytest


def products(signal, noise):
    generator = np.random.default_rng(0)
    vectors = signal * np.ones(4000) + noise[:, None] * generator.standard_normal((40, 4000))
    return [vectors @ vectors.T]


def test_agreement_is_that_of_sums_of_signal_and_noise():
    noise = np.full(40, 5.0)
    found = bench.agreement(products(1.0, noise), np.ones(40), 0)
    assert found == pytest.approx(20 / (20 + 25), abs=0.02)


def test_noisy_vectors_scaled_down_make_halves_agree_more():
    noise = np.where(np.arange(40) % 4, 2.0, 30.0)
    grams = products(1.0, noise)
    plain = bench.agreement(grams, np.ones(40), 0)
    assert bench.agreement(grams, 1 / noise, 0) > plain + 0.1


def test_one_direction_agrees_wholly():
    assert bench.agreement(products(1.0, np.zeros(40)), np.ones(40), 0) == pytest.approx(1)
