"""Complex layer normalisation, alone or with CReLU: one operator with a written gradient.

For each example and channel the normalisation is a 2x2 real affine map of (Re, Im), found from
five statistics of the input. Written this way it costs two sweeps over memory forward and two
backward; autograd through the plain formula needs several times as many.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cplxsep.nn.backends import Operator
from cplxsep.nn.complex_norm.compiled import CompiledNorm
from cplxsep.nn.complex_norm.native import NativeNorm
from cplxsep.nn.complex_norm.statement import PlainNorm

Scope = Literal["channel", "layer"]
NORM = Operator[PlainNorm]("complex_norm", PlainNorm(), NativeNorm, compiled=CompiledNorm)


class _Normalise(torch.autograd.Function):
    """Rows (B, P, 2C) to normalised rows."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, gain: Tensor, bias: Tensor, layer: bool, relu: bool
    ) -> Tensor:
        form = NORM.form(rows)
        out, found = form.forward(rows, gain, bias, layer, relu)
        ctx.save_for_backward(rows, *found)
        ctx.form, ctx.options = form, (layer, relu)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, *found = ctx.saved_tensors
        grad = grad.to(rows.dtype).contiguous()
        return *ctx.form.backward(rows, grad, found, *ctx.options), None, None


def normalise(rows: Tensor, gain: Tensor, bias: Tensor, scope: Scope, relu: bool) -> Tensor:
    """Rows (B, P, 2C) whitened example by example, then gain (3, C) and bias (2, C) applied."""
    return _Normalise.apply(rows.contiguous(), gain, bias, scope == "layer", relu)


def to_rows(maps: Tensor) -> Tensor:
    """Maps (B, 2C, F, T) as rows (B, F * T, 2C); no copy of maps that are channels-last."""
    maps = maps.contiguous(memory_format=torch.channels_last)
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def to_maps(rows: Tensor, shape: torch.Size) -> Tensor:
    """Maps of the given shape (B, 2C, F, T), channels-last, from rows."""
    batch, channels, bins, frames = shape
    return rows.view(batch, bins, frames, channels).permute(0, 3, 1, 2)


class ComplexNorm(nn.Module):
    """Complex layer norm of maps (B, 2C, F, T), optionally followed by CReLU.

    Each example is centred and whitened by the inverse square root of its 2x2 covariance, then
    scaled by a learned symmetric 2x2 matrix and shifted: 5 real parameters per channel. There
    are no running statistics. Statistics are at least float32 whatever the input's type.

    Source: Trabelsi et al. 2017, section 3.5; paper section 5 and SPEC section 3.

    Args:
        maps: complex channels C.
        relu: apply CReLU (the real ReLU on both parts) in the same pass.
        scope: "channel", statistics over (F, T) of each channel as in the published code; or
            "layer", over all features (C, F, T) of an example, the paper's wording.
    """

    def __init__(self, maps: int, *, relu: bool = False, scope: Scope = "channel") -> None:
        super().__init__()
        root_half = 2**-0.5
        self.gain = nn.Parameter(
            torch.tensor([root_half, 0.0, root_half]).repeat(maps, 1).T.clone()
        )
        self.bias = nn.Parameter(torch.zeros(2, maps))
        self.relu = relu
        self.scope: Scope = scope

    def forward(self, maps: Tensor) -> Tensor:
        rows = normalise(to_rows(maps), self.gain, self.bias, self.scope, self.relu)
        return to_maps(rows, maps.shape)
