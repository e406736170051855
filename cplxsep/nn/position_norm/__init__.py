"""Layer norm over the channels of one position, with its residual: one operator, several forms."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from cplxsep.nn.backends import Operator
from cplxsep.nn.position_norm.native import NativeNorm
from cplxsep.nn.position_norm.statement import statement

Norm = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def residual_norm(maps: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Maps (B, F, T, C) for the residual sum, and their norm, in the fastest form there is.

    In one operator, so that both gradients meet in one pass over memory. gain, bias (C,).
    """
    return POSITION_NORM.form(maps)(maps, gain, bias)


def _triton() -> Norm:
    from cplxsep.nn.position_norm.triton_form import TritonNorm

    return TritonNorm.apply


POSITION_NORM: Operator[Norm] = Operator(
    "position_norm", statement, partial(partial, NativeNorm.apply), triton=_triton
)


class ResidualNorm(nn.Module):
    """Layer norm over the channels of each position (Ba et al. 2016), beside its residual.

    Nothing of it depends on how long a chunk is, and it can stream.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The maps (B, F, T, C) for the residual sum, and their norm."""
        return residual_norm(maps, self.gain, self.bias)
