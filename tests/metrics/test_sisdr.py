"""SI-SDR against its definition and its invariances."""

import numpy as np
import pytest

from cplxsep.metrics.coherence import LIMIT_DB
from cplxsep.metrics.sisdr import si_sdr, si_sdr_matrix


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def by_definition(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Projection and residual in the time domain, as the paper writes it."""
    s = reference - reference.mean()
    e = estimate - estimate.mean()
    target = (np.dot(e, s) / np.dot(s, s)) * s
    residual = e - target
    return 10 * np.log10(np.sum(target**2) / np.sum(residual**2))


@pytest.mark.parametrize("level", [1e-3, 0.1, 1.0, 30.0])
def test_agrees_with_the_definition(level):
    s, e = noise(2, 4000)
    estimate = s + level * e
    assert si_sdr(s, estimate) == pytest.approx(by_definition(s, estimate), abs=1e-6)


@pytest.mark.parametrize("snr", [-20.0, 0.0, 3.0, 40.0])
def test_known_snr_of_orthogonal_noise(snr):
    t = np.arange(8000) / 8000
    s, n = np.sin(2 * np.pi * 200 * t), np.cos(2 * np.pi * 200 * t)
    assert si_sdr(s, s + 10 ** (-snr / 20) * n) == pytest.approx(snr, abs=1e-6)


@pytest.mark.parametrize("gain", [1e-9, 1e-3, -1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_level_polarity_and_offset_do_not_count(gain, offset):
    s, e = noise(2, 2000)
    plain = si_sdr(s, s + e)
    assert si_sdr(s, gain * (s + e + offset)) == pytest.approx(plain, abs=1e-6)
    assert si_sdr(gain * (s + offset), s + e) == pytest.approx(plain, abs=1e-6)


def test_the_reference_itself_has_the_highest_score():
    s = noise(2000)
    assert si_sdr(s, s) == pytest.approx(LIMIT_DB)


def test_an_unrelated_estimate_has_the_lowest_score():
    s = np.array([1.0, -1.0, 0.0, 0.0])
    assert si_sdr(s, s[::-1]) == pytest.approx(-LIMIT_DB)


def test_silence_has_no_score():
    s = noise(100)
    for quiet in (np.zeros(100), np.full(100, 0.1), np.full(100, np.float32(1 / 3))):
        assert np.isnan(si_sdr(s, quiet))
        assert np.isnan(si_sdr(quiet, s))
    assert np.isnan(si_sdr([0.5], [0.5]))


def test_inputs_stay_as_they_are():
    s, e = noise(2, 100)
    copies = s.copy(), e.copy()
    si_sdr(s, e)
    si_sdr(s, np.zeros(100))
    np.testing.assert_array_equal(s, copies[0])
    np.testing.assert_array_equal(e, copies[1])


def test_shapes():
    s, e = noise(3, 2, 500), noise(3, 2, 500, seed=1)
    assert si_sdr(s, e).shape == (3, 2)
    assert si_sdr(s[0, 0], e[0, 0]).shape == ()
    assert si_sdr(s[0, 0], e[0]).shape == (2,)


def test_the_matrix_holds_every_pair():
    s, e = noise(2, 500), noise(3, 500, seed=1)
    matrix = si_sdr_matrix(s, e)
    assert matrix.shape == (2, 3)
    for j in range(2):
        np.testing.assert_allclose(matrix[j], si_sdr(s[j], e), atol=1e-9)
