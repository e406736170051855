"""Initial values of complex convolution kernels (Trabelsi et al. 2017, section 3.6).

Every function returns the real and imaginary part of a kernel (out, in, k, k).
"""

import math

import torch
from torch import Tensor

from cplxsep.config.choices import Criterion


def _sigma(fan_in: int, fan_out: int, criterion: Criterion) -> float:
    """Scale of one part of a weight so that E|w|^2 = 2 sigma^2 meets the criterion."""
    return 1 / math.sqrt(fan_in if criterion == "he" else fan_in + fan_out)


def rayleigh(
    shape: tuple[int, int, int, int], criterion: Criterion = "he"
) -> tuple[Tensor, Tensor]:
    """Modulus from a Rayleigh distribution, phase uniform: E|w|^2 = 2/fan_in under He."""
    out_maps, in_maps, *kernel = shape
    area = math.prod(kernel)
    return _rayleigh(shape, _sigma(in_maps * area, out_maps * area, criterion))


def rayleigh_unscaled(
    shape: tuple[int, int, int, int], criterion: Criterion = "he"
) -> tuple[Tensor, Tensor]:
    """The reading of the paper's published code: sigma without the square root."""
    out_maps, in_maps, *kernel = shape
    area = math.prod(kernel)
    return _rayleigh(shape, _sigma(in_maps * area, out_maps * area, criterion) ** 2)


def _rayleigh(shape: tuple[int, ...], sigma: float) -> tuple[Tensor, Tensor]:
    modulus = sigma * torch.sqrt(-2 * torch.log1p(-torch.rand(shape)))
    phase = 2 * math.pi * torch.rand(shape)
    return modulus * torch.cos(phase), modulus * torch.sin(phase)


def unitary(shape: tuple[int, int, int, int], criterion: Criterion = "he") -> tuple[Tensor, Tensor]:
    """Kernel whose (out*in) x (k*k) matrix is (semi-)unitary, each part scaled to sigma.

    The paper uses it for the FiLM convolution and the first mask convolution (appendix A.4).
    """
    out_maps, in_maps, *kernel = shape
    area = math.prod(kernel)
    rows = out_maps * in_maps
    matrix = torch.complex(torch.rand(rows, area), torch.rand(rows, area))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    weight = (left @ right).reshape(shape)
    sigma = _sigma(in_maps * area, out_maps * area, criterion)

    def scaled(part: Tensor) -> Tensor:
        spread = part.std(correction=0)
        return part * (sigma / spread) if spread > 0 else part

    return scaled(weight.real), scaled(weight.imag)


INITS = {"rayleigh": rayleigh, "rayleigh-unscaled": rayleigh_unscaled, "unitary": unitary}
