"""Building blocks of the U-Net, in a complex and a real form with one interface.

An algebra says what a map, a convolution and a normalisation are; the network's topology
(`cplxsep.networks.unet`) is written once for both.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.config import UNetConfig
from cplxsep.config.choices import Norm, Order
from cplxsep.nn import pairs
from cplxsep.nn.activation import ACTIVATIONS
from cplxsep.nn.complex_norm import ComplexNorm
from cplxsep.nn.complex_norm.batchnorm import ComplexBatchNorm
from cplxsep.nn.conv import ComplexConv2d, RealConv2d
from cplxsep.nn.pool import COMPLEX_POOLS, REAL_POOLS


class ComplexAlgebra:
    """Complex maps (B, 2C, F, T), by default with complex layer norm and CReLU."""

    def __init__(self, options: UNetConfig) -> None:
        self.options = options

    def conv(self, in_maps: int, out_maps: int, kernel: int, stride: int = 1) -> nn.Module:
        """Bias-free convolution with zero padding."""
        return ComplexConv2d(
            in_maps,
            out_maps,
            kernel,
            stride=stride,
            init=self.options.init,
            criterion=self.options.criterion,
        )

    def norm(self, maps: int, *, residual: bool) -> nn.Module:  # noqa: ARG002
        """Normalisation followed by the activation."""
        options = self.options
        within = options.activation == "crelu"  # then the norm applies it in its own pass
        norm: nn.Module
        if options.norm == "batch":
            norm = ComplexBatchNorm(maps, relu=within)
        else:
            norm = ComplexNorm(maps, relu=within, scope=options.norm)
        return norm if within else nn.Sequential(norm, ACTIVATIONS[options.activation](maps))

    def pool(self) -> nn.Module | None:
        """What halves F and T; None: a convolution with a stride does."""
        return None if self.options.down == "stride" else COMPLEX_POOLS[self.options.down]()

    def concatenate(self, first: Tensor, second: Tensor) -> Tensor:
        """Maps of both, as channels."""
        return pairs.concatenate(first, second)


class RealAlgebra:
    """The real twin: maps (B, C, F, T), by default batch norm, and ReLU (SPEC section 3).

    The other norms, per example as those of the complex network are, tell what the norm brings
    from what complex numbers do.
    """

    def __init__(self, options: UNetConfig) -> None:
        self.options = options

    def conv(self, in_maps: int, out_maps: int, kernel: int, stride: int = 1) -> nn.Module:
        return RealConv2d(in_maps, out_maps, kernel, stride=stride)

    def norm(self, maps: int, *, residual: bool) -> nn.Module:
        make: dict[Norm, Callable[[], nn.Module]] = {
            "batch": lambda: nn.BatchNorm2d(maps, eps=1e-5 if residual else 1e-4),
            "channel": lambda: nn.GroupNorm(maps, maps, eps=1e-4),
            "layer": lambda: nn.GroupNorm(1, maps, eps=1e-4),
        }
        return nn.Sequential(make[self.options.real_norm](), nn.ReLU())

    def pool(self) -> nn.Module | None:
        return None if self.options.down == "stride" else REAL_POOLS[self.options.down]()

    def concatenate(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second], dim=1)


# How one kind of network makes its parts.
Algebra = ComplexAlgebra | RealAlgebra


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
        return self.second(self.first(maps)).add_(maps)


def halving(algebra: Algebra, in_maps: int, out_maps: int) -> nn.Sequential:
    """NAC with a 1x1 kernel that halves F and T, by its stride or by pooling before it."""
    pool = algebra.pool()
    block = norm_act_conv(algebra, in_maps, out_maps, 1, 2 if pool is None else 1)
    if pool is not None:
        block.insert(1, pool)
    return block


def stage(
    algebra: Algebra,
    in_maps: int,
    out_maps: int,
    residual_blocks: int,
    *,
    down: bool = False,
    order: Order = "widen-first",
) -> nn.Sequential:
    """NAC(in, out), k residual blocks, NAC(out, out), k residual blocks.

    An encoder stage (`down`) halves F and T in its second NAC: channels change before the
    resolution does (SPEC section 3). With the order "downsample-first", the paper's wording
    (SPEC 7.4), its first NAC halves them and its second changes channels.
    """
    widths = (in_maps, out_maps, out_maps)
    first: Callable[[Algebra, int, int], nn.Sequential] = norm_act_conv
    second = halving if down else first
    if down and order == "downsample-first":
        widths = (in_maps, in_maps, out_maps)
        first, second = second, first
    before, between, after = widths
    return nn.Sequential(
        first(algebra, before, between),
        *(Residual(algebra, between) for _ in range(residual_blocks)),
        second(algebra, between, after),
        *(Residual(algebra, after) for _ in range(residual_blocks)),
    )


def upsample(maps: Tensor) -> Tensor:
    """Bilinear interpolation to twice F and T; linear, so it acts on both parts alike."""
    return F.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=True)
