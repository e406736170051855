"""Residual blocks of the dual-path network as native code on a CPU, for inference.

Each is one call that goes through the maps piece by piece: norm, products, what lies between them
and the residual sum happen in the cache. The blocks themselves are their statement
(`cplxsep.networks.dual_path_blocks`); training has forms of its own
(`cplxsep.nn.training_blocks`).

In int8 both sides of a product are whole steps, four times as many at once as in float32, on CPUs
with VNNI. Rows that a norm made have steps fixed for each channel, other rows and the columns of
matrices their own, 127 of which are the largest value: nothing is calibrated. Sums, gates, states
and maps are float32.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from cplxsep.nn.native import build
from cplxsep.nn.native.call import NAMES, call
from cplxsep.nn.recurrence.statement import Along

NAME = "residual_blocks"  # of the library
# Standard deviations of a channel after its norm that steps reach; beyond they are clipped.
REACH = 5.0

Weights = tuple[Tensor, ...]  # of a block, in the order of its function


class NativeBlocks:
    """Blocks of maps (B, F, T, C) in float32, whose products are in `dtype`.

    Raises NoCompilerError.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._library: ctypes.CDLL = build.library(NAME)
        self._lanes = int(self._library.lanes())

    @property
    def works(self) -> bool:
        """Whether this CPU has products of the type."""
        return self.dtype in NAMES and hasattr(self._library, f"local_{NAMES[self.dtype]}")

    @property
    def amx(self) -> bool:
        """Whether products of the type are those of AMX."""
        return self.works and bool(self._function("in_squares")())

    def takes(self, channels: int, states: int) -> bool:
        """Whether blocks of so many channels and states can be worked on, in this type."""
        return self.works and channels % self._lanes == 0 and states % self._lanes == 0

    def local_weights(self, norm: tuple[Tensor, Tensor], conv: Tensor, out: Tensor) -> Weights:
        """Of x + W SiLU(conv3x3(norm(x))): norm's gain and bias (C,), conv (C, C, 3, 3), W (C, C).

        Kernels are packed.
        """
        # Taps before channels: what the taps of one band see lies side by side.
        kernel, *norm_weights = self._normed(norm, conv.detach().permute(0, 2, 3, 1))
        return self._packed(kernel.flatten(1), parts=3), self._packed(out), *norm_weights

    def recurrent_weights(
        self, norm: tuple[Tensor, Tensor], into: Tensor, states: tuple[Tensor, Tensor], out: Tensor
    ) -> Weights:
        """Of x + W recurrence(V norm(x)): norm's gain and bias (C,), V (6K, C), bias (6K,) and
        theta (2, K) of the states, W (C, 4K). Matrices are packed."""
        matrix, *norm_weights = self._normed(norm, into)
        both = torch.cat([self._packed(part) for part in matrix.chunk(2)])
        bias, theta = map(_plain, states)
        # Real and imaginary parts of a direction's states take turns by vectors.
        turns = out.detach().unflatten(1, (2, 2, -1, self._lanes)).transpose(2, 3).flatten(1)
        return both, self._packed(turns), *norm_weights, bias, theta.cos(), theta.sin()

    def normed_weights(self, norm: tuple[Tensor, Tensor], matrix: Tensor) -> Weights:
        """Of W norm(x): norm's gain and bias (C,), W (D, C). The matrix is packed."""
        matrix, *norm_weights = self._normed(norm, matrix)
        return self._packed(matrix), *norm_weights

    def no_past(self, maps: Tensor) -> Tensor:
        """What a causal local block takes as `past` at the beginning of maps (B, F, T, C)."""
        zero = -128 if self.dtype == torch.int8 else 0
        return maps.new_full((*maps.shape[:2], 2, maps.shape[3]), zero, dtype=self.dtype)

    def local(self, maps: Tensor, weights: Weights, causal: bool, past: Tensor | None) -> None:
        """Add a local block to maps (B, F, T, C), in place.

        past: (B, F, 2, C) in `dtype`, of a causal one: its norms of the two frames before, in
        whose place it leaves those of the latest two.
        """
        call(self._library, "local", (*weights, maps, past), (*maps.shape, causal))

    def recurrent(self, maps: Tensor, weights: Weights, along: Along, last: Tensor | None) -> None:
        """Add a recurrent block to maps (B, F, T, C), in place.

        last: (B, F, 4K), along past frames: the states it goes on from, in whose place it leaves
        the latest ones.
        """
        way = (along == "bands", along == "past frames")
        sizes = (*maps.shape, weights[-1].shape[1], *way)
        call(self._library, "recurrent", (*weights, maps, last), sizes)

    def add_normed(self, maps: Tensor, weights: Weights, more: Tensor) -> None:
        """Add W norm(more), of more (B, F, T, C), to maps (B, F, T, D), in place."""
        sizes = (maps[..., 0].numel(), more.shape[-1], maps.shape[-1])
        call(self._library, "add_normed", (*weights, more, maps), sizes)

    def _normed(self, norm: tuple[Tensor, Tensor], matrix: Tensor) -> tuple[Tensor, ...]:
        """A matrix (..., C) of normed rows, and the norm's gain and bias (C,), which in int8 give
        steps."""
        gain, bias = map(_plain, norm)
        matrix = _plain(matrix)
        if self.dtype == torch.int8:
            step = ((REACH * gain.abs() + bias.abs()) / 127).clamp_min(1e-30)
            return matrix * step, gain / step, bias / step
        return matrix, gain, bias

    def _packed(self, matrix: Tensor, parts: int = 1) -> Tensor:
        """A matrix (N, K), or (N, parts * K) of so many that follow each other in K."""
        sizes = matrix.shape[0], matrix.shape[1] // parts, parts
        count = self._function("packed")
        count.restype = ctypes.c_int64
        packed = matrix.new_zeros(count(*map(ctypes.c_int64, sizes)), dtype=self.dtype)
        call(self._library, "pack", (packed, _plain(matrix)), sizes)
        return packed

    def _function(self, name: str) -> Any:
        return getattr(self._library, f"{name}_{NAMES[self.dtype]}")


def _plain(parameter: Tensor) -> Tensor:
    return parameter.detach().float().contiguous().clone()
