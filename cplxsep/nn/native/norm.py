"""The compiled complex layer norm (`cplxsep.nn.passes.WholeNorm`) for a CPU."""

import torch
from torch import Tensor

from cplxsep.nn.native import build
from cplxsep.nn.native.call import NAMES, call


class NativeNorm:
    """The norm of float32 and bfloat16 rows, and its gradient, in one call each.

    Raises NoCompilerError.
    """

    def __init__(self) -> None:
        self._library = build.library("norm")

    def fits(self, rows: Tensor) -> bool:
        """Whether this can work on such rows (B, P, 2C)."""
        here = rows.device.type == "cpu" and rows.dtype in NAMES
        return here and rows.is_contiguous() and rows.numel() > 0

    def statistics(self, rows: Tensor) -> Tensor:
        stats = _statistics(rows)
        self._call("statistics", rows, stats)
        return stats

    def forward(
        self, rows: Tensor, gain: Tensor, bias: Tensor, layer: bool, relu: bool
    ) -> tuple[Tensor, Tensor]:
        out, stats = torch.empty_like(rows), _statistics(rows)
        self._call("forward", rows, _plain(gain), _plain(bias), out, stats, flags=(layer, relu))
        return out, stats

    def backward(
        self,
        rows: Tensor,
        grad: Tensor,
        stats: Tensor,
        gain: Tensor,
        bias: Tensor,
        layer: bool,
        relu: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        gain, bias = _plain(gain), _plain(bias)
        into = (torch.empty_like(rows), torch.empty_like(gain), torch.empty_like(bias))
        self._call("backward", rows, grad, stats, gain, bias, *into, flags=(layer, relu))
        return into

    def _call(
        self, name: str, rows: Tensor, *tensors: Tensor, flags: tuple[bool, ...] = ()
    ) -> None:
        batch, positions, parts = rows.shape
        call(self._library, name, (rows, *tensors), (batch, positions, parts // 2, *flags))


def _statistics(rows: Tensor) -> Tensor:
    return torch.empty(5, rows.shape[0], rows.shape[2] // 2)


def _plain(parameter: Tensor) -> Tensor:
    return parameter.detach().float().contiguous()
