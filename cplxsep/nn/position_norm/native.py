"""The norm of a position as native code on a CPU: both gradients meet in one sweep."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from cplxsep.nn.native.call import call


class NativeNorm(torch.autograd.Function):
    """As `statement.statement`, in float32 and bfloat16."""

    @staticmethod
    def forward(
        ctx: Any, library: ctypes.CDLL, maps: Tensor, gain: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        rows, wide = maps.contiguous(), gain.float().contiguous()
        normed = torch.empty_like(rows)
        _call(library, "forward", rows, wide, bias.float().contiguous(), normed)
        ctx.save_for_backward(rows, wide)
        ctx.library, ctx.types = library, (gain.dtype, bias.dtype)
        ctx.set_materialize_grads(False)
        return maps.view_as(maps), normed

    @staticmethod
    def backward(
        ctx: Any, through: Tensor | None, grad: Tensor | None
    ) -> tuple[None, Tensor | None, Tensor | None, Tensor | None]:
        rows, gain = ctx.saved_tensors
        if grad is None:
            return None, through, None, None
        into = torch.empty_like(rows)
        of_gain, of_bias = torch.empty_like(gain), torch.empty_like(gain)
        through = None if through is None else through.contiguous()
        given = (rows, gain, through, grad.contiguous())
        _call(ctx.library, "backward", *given, into, of_gain, of_bias)
        return None, into, of_gain.to(ctx.types[0]), of_bias.to(ctx.types[1])


def _call(library: ctypes.CDLL, name: str, rows: Tensor, *tensors: Tensor | None) -> None:
    channels = rows.shape[-1]
    call(library, name, (rows, *tensors), (rows.numel() // channels, channels))
