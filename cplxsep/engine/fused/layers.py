"""Layers of the inference form: convolution with a fixed real kernel, and norm with CReLU."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.engine.fused.registry import ModuleForm, form, form_of, has_form
from cplxsep.networks.blocks import Residual
from cplxsep.nn.between_convolutions import Between, NormWeights
from cplxsep.nn.complex_norm import ComplexNorm
from cplxsep.nn.conv import ComplexConv2d, stacked_kernel

# Complex channels from which on three products are faster than four: measured on a CPU, where
# oneDNN takes channels by sixteen. They save a fifth and more of the time, and cost two passes.
WIDE = 32


class Maps:
    """Maps (B, H, W, 2C) whose statistics are found once, when first asked for."""

    def __init__(self, rows: Tensor, between: Between, stats: Tensor | None = None) -> None:
        self.rows = rows
        self._between = between
        self._stats = stats

    @property
    def stats(self) -> Tensor:
        """Statistics (5, B, C)."""
        if self._stats is None:
            self._stats = self._between.statistics(self.rows)
        return self._stats


class FixedConv(nn.Module):
    """A convolution at stride 1 with a real kernel made once: (B, H, W, in) -> (B, H, W, out).

    Args:
        groups: that the channels are in, each seen by its part of the kernel alone.
    """

    kernel: Tensor
    bias: Tensor | None

    def __init__(
        self, kernel: Tensor, bias: Tensor | None, dtype: torch.dtype, groups: int = 1
    ) -> None:
        super().__init__()
        kernel = kernel.detach().to(dtype, copy=True, memory_format=torch.channels_last)
        self.register_buffer("bias", None if bias is None else bias.detach().to(dtype, copy=True))
        self.padding = kernel.shape[-1] // 2
        self.groups = groups
        packed = _packed(kernel, self.padding, groups)
        self.is_packed = packed is not None
        self.register_buffer("kernel", kernel if packed is None else packed)

    def forward(self, rows: Tensor) -> Tensor:
        maps, padding = rows.permute(0, 3, 1, 2), self.padding
        if self.is_packed:
            maps = torch.ops.mkldnn._convolution_pointwise(
                *(maps, self.kernel, self.bias, (padding, padding), (1, 1), (1, 1), self.groups),
                *("none", [], ""),  # no operation after it
            )
        else:
            maps = F.conv2d(maps, self.kernel, self.bias, padding=padding, groups=self.groups)
        return maps.permute(0, 2, 3, 1).contiguous()


def _packed(kernel: Tensor, padding: int, groups: int) -> Tensor | None:
    """A kernel as oneDNN arranges it, which `conv2d` would do anew each time; None if it cannot.

    This is how torch.compile freezes weights on a CPU; PyTorch has no public name for it.
    """
    if kernel.device.type != "cpu" or kernel.dtype == torch.float64:
        return None
    try:
        found = torch._C._nn.mkldnn_reorder_conv2d_weight(
            kernel.to_mkldnn(), [padding, padding], [1, 1], [1, 1], groups
        )
        torch.ops.mkldnn._convolution_pointwise  # noqa: B018
    except (AttributeError, RuntimeError):  # built without oneDNN, or it lacks the type
        return None
    return found


def fixed(conv: ComplexConv2d, dtype: torch.dtype, *, three: bool = False) -> FixedConv:
    """A complex convolution by a stacked kernel, or by three products (`between_convolutions`).

    Its stride is left to what comes before.
    """
    real, imag = conv.weight_real, conv.weight_imag
    if not three:
        return FixedConv(stacked_kernel(real, imag), conv.bias, dtype)
    assert conv.bias is None
    return FixedConv(torch.cat([real, imag - real, real + imag]), None, dtype, groups=3)


class FusedNorm(nn.Module):
    """Weights of a complex layer norm with CReLU."""

    gain: Tensor
    bias: Tensor

    def __init__(self, norm: ComplexNorm) -> None:
        super().__init__()
        self.register_buffer("gain", norm.gain.detach().clone().contiguous())
        self.register_buffer("bias", norm.bias.detach().clone().contiguous())
        self.layer = norm.scope == "layer"

    @property
    def weights(self) -> NormWeights:
        """As functions between convolutions take them."""
        return NormWeights(self.gain, self.bias, self.layer)


@form_of(nn.Sequential, "0", "1")
class FusedBlock(ModuleForm):
    """Norm, CReLU, convolution."""

    @staticmethod
    def takes(block: nn.Sequential, *means: object) -> bool:
        if means or len(block) != 2:
            return False
        norm, conv = block
        return type(norm) is ComplexNorm and norm.relu and type(conv) is ComplexConv2d

    def __init__(self, block: nn.Sequential, dtype: torch.dtype, between: Between) -> None:
        super().__init__()
        norm, conv = cast(tuple[ComplexNorm, ComplexConv2d], tuple(block))
        self.norm = FusedNorm(norm)
        out_maps, in_maps, *_, size = conv.weight_real.shape
        # Only a 1x1 convolution sees just every stride-th position.
        assert conv.stride == 1 or size == 1
        self.stride = conv.stride
        self.three = between.three_products and size > 1 and min(in_maps, out_maps) >= WIDE
        self.conv = fixed(conv, dtype, three=self.three)
        self.between = between

    def forward(self, maps: Maps) -> Maps:
        return self._maps(self.raw(maps))

    def raw(self, maps: Maps) -> Tensor:
        """What the convolution gives: maps, or products."""
        norm = self.norm.weights
        return self.conv(
            self.between.normalise(maps.rows, maps.stats, norm, self.stride, self.three)
        )

    def joined(self, skip: Maps, maps: Maps) -> Maps:
        """The block on `skip` joined with maps interpolated to twice their size."""
        stats = (skip.stats, self.between.upsampled_statistics(maps.rows))
        norm = self.norm.weights
        rows = self.between.normalise_joined(skip.rows, maps.rows, stats, norm, self.three)
        return self._maps(self.conv(rows))

    def _maps(self, rows: Tensor) -> Maps:
        if not self.three:
            return Maps(rows, self.between)
        rows, stats = self.between.from_products(rows)
        return Maps(rows, self.between, stats)


@form_of(Residual, "first", "second")
class FusedResidual(ModuleForm):
    """x + block(block(x)); the sum takes the place of x."""

    @staticmethod
    def takes(residual: Residual) -> bool:
        return has_form(residual.first) and has_form(residual.second)

    def __init__(self, residual: Residual, dtype: torch.dtype, between: Between) -> None:
        super().__init__()
        self.first = FusedBlock(residual.first, dtype, between)
        self.second = FusedBlock(residual.second, dtype, between)
        self.between = between

    def forward(self, maps: Maps) -> Maps:
        stats = self.between.add(maps.rows, self.second.raw(self.first(maps)))
        return Maps(maps.rows, self.between, stats)


def steps_have_forms(stage: nn.Module) -> bool:
    """Whether all steps of a stage have a form."""
    return all(map(has_form, stage.children()))


def fused_steps(stage: nn.Module, dtype: torch.dtype, between: Between) -> nn.ModuleList:
    """Inference forms of a stage's steps; the first is a block, so the input is never changed."""
    return nn.ModuleList(form(step, dtype, between) for step in stage.children())
