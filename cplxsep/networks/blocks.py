"""Building blocks of the U-Net, in a complex and a real form with one interface.

An algebra says what a map, a convolution and a normalisation are; the network's topology
(`cplxsep.networks.unet`) is written once for both.
"""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.nn import pairs
from cplxsep.nn.conv import ComplexConv2d, RealConv2d
from cplxsep.nn.init import Criterion, Init
from cplxsep.nn.norm import ComplexNorm, Scope


class Algebra(Protocol):
    """How one kind of network (complex or real) makes its parts."""

    def conv(self, in_maps: int, out_maps: int, kernel: int, stride: int = 1) -> nn.Module:
        """Bias-free convolution with zero padding."""

    def norm(self, maps: int, *, residual: bool) -> nn.Module:
        """Normalisation followed by the rectifier."""

    def concatenate(self, first: Tensor, second: Tensor) -> Tensor:
        """Maps of both, as channels."""


class ComplexAlgebra:
    """Complex maps (B, 2C, F, T), complex layer norm and CReLU."""

    def __init__(
        self, *, scope: Scope = "channel", init: Init = "rayleigh", criterion: Criterion = "he"
    ) -> None:
        self.scope: Scope = scope
        self.init: Init = init
        self.criterion: Criterion = criterion

    def conv(self, in_maps: int, out_maps: int, kernel: int, stride: int = 1) -> nn.Module:
        return ComplexConv2d(
            in_maps, out_maps, kernel, stride=stride, init=self.init, criterion=self.criterion
        )

    def norm(self, maps: int, *, residual: bool) -> nn.Module:  # noqa: ARG002
        return ComplexNorm(maps, relu=True, scope=self.scope)

    def concatenate(self, first: Tensor, second: Tensor) -> Tensor:
        return pairs.concatenate(first, second)


class RealAlgebra:
    """The real twin: maps (B, C, F, T), batch norm and ReLU (SPEC section 3)."""

    def conv(self, in_maps: int, out_maps: int, kernel: int, stride: int = 1) -> nn.Module:
        return RealConv2d(in_maps, out_maps, kernel, stride=stride)

    def norm(self, maps: int, *, residual: bool) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(maps, eps=1e-5 if residual else 1e-4), nn.ReLU())

    def concatenate(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second], dim=1)


def norm_act_conv(
    algebra: Algebra,
    in_maps: int,
    out_maps: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    residual: bool = False,
) -> nn.Sequential:
    """Normalisation, rectifier, convolution: pre-activation everywhere (SPEC section 3, NAC)."""
    return nn.Sequential(
        algebra.norm(in_maps, residual=residual), algebra.conv(in_maps, out_maps, kernel, stride)
    )


class Residual(nn.Module):
    """x + NAC(NAC(x)), no projection and no activation after the sum."""

    def __init__(self, algebra: Algebra, maps: int) -> None:
        super().__init__()
        self.first = norm_act_conv(algebra, maps, maps, residual=True)
        self.second = norm_act_conv(algebra, maps, maps, residual=True)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.second(self.first(maps))


def stage(
    algebra: Algebra, in_maps: int, out_maps: int, residual_blocks: int, *, down: bool = False
) -> nn.Sequential:
    """NAC(in, out), k residual blocks, NAC(out, out), k residual blocks.

    An encoder stage (`down`) halves F and T in its second NAC with a 1x1 convolution of
    stride 2: channels change before the resolution does (SPEC section 3 and 7.4).
    """
    kernel, stride = (1, 2) if down else (3, 1)
    return nn.Sequential(
        norm_act_conv(algebra, in_maps, out_maps),
        *(Residual(algebra, out_maps) for _ in range(residual_blocks)),
        norm_act_conv(algebra, out_maps, out_maps, kernel, stride),
        *(Residual(algebra, out_maps) for _ in range(residual_blocks)),
    )


def upsample(maps: Tensor) -> Tensor:
    """Bilinear interpolation to twice F and T; linear, so it acts on both parts alike."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)
