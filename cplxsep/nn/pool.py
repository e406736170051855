"""Halving of F and T other than by a stride, on maps (B, C or 2C, F, T).

An odd length n becomes (n + 1) / 2, as with a convolution of stride 2.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.nn import pairs


class MaxPool(nn.Module):
    """The largest of each 2x2 positions: real maps by value (B, C, F, T)."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.max_pool2d(maps, 2, ceil_mode=True)


class MaxModulusPool(nn.Module):
    """Of each 2x2 positions the complex value with the largest modulus; maps (B, 2C, F, T)."""

    def forward(self, maps: Tensor) -> Tensor:
        wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
        real, imag = pairs.split(wide)
        power = real.square() + imag.square()
        _, at = F.max_pool2d(power.contiguous(), 2, ceil_mode=True, return_indices=True)
        both = torch.cat([at, at], dim=1)
        return maps.flatten(2).gather(2, both.flatten(2)).unflatten(2, both.shape[2:])


class AveragePool(nn.Module):
    """The mean of each 2x2 positions; linear, so one form serves real and complex maps."""

    def forward(self, maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps, 2, ceil_mode=True)


class SpectralPool(nn.Module):
    """Crop in the 2-D DFT domain (Rippel et al. 2015, section 4.1), scaled to keep the mean.

    Keeps the frequencies k with |k| < m/2 on an axis that goes from n to m positions. That set is
    symmetric, so that real maps stay real and one form serves real and complex maps: the crop of
    a complex DFT is that of the DFTs of both parts.
    """

    def forward(self, maps: Tensor) -> Tensor:
        wide = maps.to(torch.promote_types(maps.dtype, torch.float32))
        size = [(n + 1) // 2 for n in maps.shape[2:]]
        spectrum = torch.fft.rfft2(wide, norm="forward")
        rows, columns = ((m + 1) // 2 for m in size)  # frequencies 0 to below m/2
        low, high = spectrum[:, :, :rows, :columns], spectrum[:, :, :0, :columns]
        if rows > 1:
            high = spectrum[:, :, 1 - rows :, :columns]
        gap = size[0] - (2 * rows - 1)
        cropped = torch.cat([F.pad(low, (0, 0, 0, gap)), high], dim=2)
        # irfft2 takes columns that are not there for zeros.
        return torch.fft.irfft2(cropped, s=size, norm="forward").to(maps.dtype)


COMPLEX_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max": MaxModulusPool,
    "average": AveragePool,
    "spectral": SpectralPool,
}
REAL_POOLS: dict[str, Callable[[], nn.Module]] = {**COMPLEX_POOLS, "max": MaxPool}
