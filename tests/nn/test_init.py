"""Distributions of initial kernels."""

import math

import pytest
import torch

from cplxsep.nn.init import rayleigh, rayleigh_unscaled, unitary

SHAPE = (64, 32, 3, 3)
FAN_IN, FAN_OUT = 32 * 9, 64 * 9


def power(parts):
    return float((parts[0] ** 2 + parts[1] ** 2).mean())


@pytest.mark.parametrize(("criterion", "fan"), [("he", FAN_IN), ("glorot", FAN_IN + FAN_OUT)])
def test_rayleigh_power_meets_the_criterion(criterion, fan):
    torch.manual_seed(0)
    assert power(rayleigh(SHAPE, criterion)) == pytest.approx(2 / fan, rel=0.03)


def test_rayleigh_he_has_the_power_of_torch_kaiming_normal_on_complex_weights():
    torch.manual_seed(0)
    theirs = torch.nn.init.kaiming_normal_(torch.empty(SHAPE, dtype=torch.complex64))
    assert power(rayleigh(SHAPE)) == pytest.approx(float(theirs.abs().square().mean()), rel=0.03)


def test_the_published_code_lacks_the_root():
    torch.manual_seed(0)
    assert power(rayleigh_unscaled(SHAPE)) == pytest.approx(2 / FAN_IN**2, rel=0.03)


def test_phase_is_uniform():
    torch.manual_seed(0)
    real, imag = rayleigh(SHAPE)
    phase = torch.atan2(imag, real).flatten()
    counts = torch.histc(phase, 8, -math.pi, math.pi) / phase.numel()
    torch.testing.assert_close(counts, torch.full((8,), 1 / 8), atol=0.01, rtol=0)


def test_unitary_columns_are_orthogonal_and_parts_have_sigma():
    torch.manual_seed(0)
    real, imag = unitary(SHAPE)
    sigma = 1 / math.sqrt(FAN_IN)
    assert float(real.std()) == pytest.approx(sigma, rel=1e-3)
    assert float(imag.std()) == pytest.approx(sigma, rel=1e-3)
    # The parts are scaled apart, so columns are orthogonal only in each unscaled matrix.
    matrix = torch.complex(real / real.std(), imag / imag.std()).reshape(-1, 9)
    gram = (matrix.mH @ matrix).abs()
    off = gram - torch.diag(gram.diag())
    assert off.max() < 0.1 * gram.diag().min()


def test_two_convolutions_of_one_shape_start_apart():
    """Regression guard: the published code reseeds, so equal shapes start identical."""
    torch.manual_seed(0)
    assert not torch.equal(rayleigh(SHAPE)[0], rayleigh(SHAPE)[0])
