"""Initial values of complex convolution kernels (Trabelsi et al. 2017, section 3.6).

Every function returns the real and imaginary part of a kernel (out, in, k, k).
"""

import math

import torch
from torch import Tensor

from cplxsep.config.choices import Criterion


def _sigma(shape: tuple[int, int, int, int], criterion: Criterion) -> float:
    """Scale of one part of a weight so that E|w|^2 = 2 sigma^2 meets the criterion."""
    fan_out, fan_in = (maps * math.prod(shape[2:]) for maps in shape[:2])
    return 1 / math.sqrt(fan_in if criterion == "he" else fan_in + fan_out)


def rayleigh(
    shape: tuple[int, int, int, int], criterion: Criterion = "he"
) -> tuple[Tensor, Tensor]:
    """Modulus from a Rayleigh distribution, phase uniform: E|w|^2 = 2/fan_in under He."""
    return _rayleigh(shape, _sigma(shape, criterion))


def rayleigh_unscaled(
    shape: tuple[int, int, int, int], criterion: Criterion = "he"
) -> tuple[Tensor, Tensor]:
    """The reading of the paper's published code: sigma without the square root."""
    return _rayleigh(shape, _sigma(shape, criterion) ** 2)


def _rayleigh(shape: tuple[int, ...], sigma: float) -> tuple[Tensor, Tensor]:
    modulus = sigma * torch.sqrt(-2 * torch.log1p(-torch.rand(shape)))
    phase = 2 * math.pi * torch.rand(shape)
    return modulus * torch.cos(phase), modulus * torch.sin(phase)


def unitary(shape: tuple[int, int, int, int], criterion: Criterion = "he") -> tuple[Tensor, Tensor]:
    """Kernel whose (out*in) x (k*k) matrix is (semi-)unitary, each part scaled to sigma.

    The paper uses it for the FiLM convolution and the first mask convolution (appendix A.4).
    """
    rows, area = math.prod(shape[:2]), math.prod(shape[2:])
    matrix = torch.complex(torch.rand(rows, area), torch.rand(rows, area))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    weight = (left @ right).reshape(shape)
    sigma = _sigma(shape, criterion)

    def scaled(part: Tensor) -> Tensor:
        spread = part.std(correction=0)
        return part * (sigma / spread) if spread > 0 else part

    return scaled(weight.real), scaled(weight.imag)


INITS = {"rayleigh": rayleigh, "rayleigh-unscaled": rayleigh_unscaled, "unitary": unitary}
