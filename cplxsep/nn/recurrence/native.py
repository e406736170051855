"""The recurrence as native code on a CPU, in float32 and bfloat16, with its gradient."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from cplxsep.nn.native.call import call
from cplxsep.nn.recurrence.statement import Along


class NativeRecurrence(torch.autograd.Function):
    """As `statement.loop`; the state is float32 whatever the type of the maps."""

    @staticmethod
    def forward(
        ctx: Any,
        library: ctypes.CDLL,
        projection: Tensor,
        bias: Tensor,
        theta: Tensor,
        along: Along,
    ) -> Tensor:
        projection = projection.contiguous()
        tables = (bias.float().contiguous(), theta.float().cos(), theta.float().sin())
        states = projection.new_empty(*projection.shape[:3], 4 * theta.shape[1])
        _call(library, "forward", along, projection, *tables, states)
        ctx.save_for_backward(projection, *tables, states)
        ctx.library, ctx.along, ctx.types = library, along, (bias.dtype, theta.dtype)
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor, Tensor, None]:
        projection, bias, cosine, sine, states = ctx.saved_tensors
        into = torch.empty_like(projection)
        of_bias, of_theta = torch.empty_like(bias), torch.empty_like(cosine)
        given = (projection, bias, cosine, sine, states, grad.contiguous())
        _call(ctx.library, "backward", ctx.along, *given, into, of_bias, of_theta)
        return None, into, of_bias.to(ctx.types[0]), of_theta.to(ctx.types[1]), None


def _call(library: ctypes.CDLL, name: str, along: Along, *tensors: Tensor) -> None:
    batch, bands, frames, parts = tensors[0].shape
    way = (along == "bands", along == "past frames")
    call(library, name, tensors, (batch, bands, frames, parts // 6, *way))
