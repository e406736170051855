"""The complex layer norm as native code on a CPU."""

from collections.abc import Sequence
from ctypes import CDLL

import torch
from torch import Tensor

from cplxsep.nn.complex_norm.statement import PlainNorm
from cplxsep.nn.native.call import call


class NativeNorm(PlainNorm):
    """For contiguous rows in float32 and bfloat16, in one call each."""

    def __init__(self, library: CDLL) -> None:
        self._library = library

    def statistics(self, rows: Tensor) -> Tensor:
        stats = _statistics(rows)
        self._call("statistics", rows, stats)
        return stats

    def forward(
        self, rows: Tensor, gain: Tensor, bias: Tensor, layer: bool, relu: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        out, stats = torch.empty_like(rows), _statistics(rows)
        gain, bias = (part.float().contiguous() for part in (gain, bias))
        self._call("forward", rows, gain, bias, out, stats, flags=(layer, relu))
        return out, (stats, gain, bias)

    def backward(
        self, rows: Tensor, grad: Tensor, found: Sequence[Tensor], layer: bool, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        _, gain, bias = found
        into = (torch.empty_like(rows), torch.empty_like(gain), torch.empty_like(bias))
        self._call("backward", rows, grad, *found, *into, flags=(layer, relu))
        return into

    def _call(
        self, name: str, rows: Tensor, *tensors: Tensor, flags: tuple[bool, ...] = ()
    ) -> None:
        batch, positions, channels = rows.shape
        call(self._library, name, (rows, *tensors), (batch, positions, channels // 2, *flags))


def _statistics(rows: Tensor) -> Tensor:
    return torch.empty(5, rows.shape[0], rows.shape[2] // 2)
