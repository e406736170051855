"""Residual blocks as native code on a CPU, in float32 and bfloat16, with their gradients.

A block is one call that goes through the maps piece by piece. Of what lies between its maps and
their sum hardly anything is kept: memory is what a CPU waits for, and the cache holds it while it
is found once more.
"""

import ctypes
from typing import Any

import torch
from torch import Tensor

from cplxsep.nn.native.call import NAMES, call
from cplxsep.nn.recurrence.statement import Along

Weights = tuple[Tensor, ...]  # of a block, in the order of its function


class TrainingBlocks:
    """Blocks of maps (B, F, T, C); weights are float32, as are what is not in maps."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._lanes = int(library.lanes())

    def takes(self, maps: Tensor, states: int = 0) -> bool:
        """Whether it works on blocks of such maps, with so many states."""
        channels = maps.shape[-1]
        whole = channels % self._lanes == 0 and states % self._lanes == 0
        # A product of bfloat16 reads 32 channels at once.
        deep = maps.dtype == torch.float32 or channels >= 32
        return whole and deep and hasattr(self._library, f"local_{NAMES[maps.dtype]}")

    def local(self, maps: Tensor, weights: Weights, causal: bool) -> Tensor:
        """x + W SiLU(conv3x3(norm(x))). weights: norm's gain and bias (C,), conv (C, C, 3, 3),
        W (C, C)."""
        found = _Local.apply(self._library, causal, maps, *weights)
        assert isinstance(found, Tensor)
        return found

    def recurrent(self, maps: Tensor, weights: Weights, along: Along) -> Tensor:
        """x + W recurrence(V norm(x)). weights: norm's gain and bias (C,), V (6K, C), bias (6K,)
        and theta (2, K) of the states, W (C, 4K)."""
        found = _Recurrent.apply(self._library, along, maps, *weights)
        assert isinstance(found, Tensor)
        return found


class _Local(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, library: ctypes.CDLL, causal: bool, maps: Tensor, *weights: Tensor
    ) -> Tensor:
        given = maps.contiguous(), *map(_plain, weights)
        kept, found = torch.empty_like(given[0]), torch.empty_like(given[0])
        ctx.sizes = *maps.shape, causal
        ctx.library, ctx.types = library, [weight.dtype for weight in weights]
        ctx.save_for_backward(*given, kept)
        call(library, "local", (*given, kept, found), ctx.sizes)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.saved_tensors
        maps, *weights, kept = given
        found = [torch.empty_like(part) for part in (kept, maps, *weights)]
        call(ctx.library, "local_back", (*given, grad.contiguous(), *found), ctx.sizes)
        return None, None, found[1], *_typed(found[2:], ctx.types)


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, library: ctypes.CDLL, along: Along, maps: Tensor, *weights: Tensor
    ) -> Tensor:
        given = maps.contiguous(), *map(_plain, weights)
        states = weights[4].shape[1]
        ctx.sizes = *maps.shape, states, along == "bands", along == "past frames"
        ctx.library, ctx.types = library, [weight.dtype for weight in weights]
        ctx.save_for_backward(*given)
        found = torch.empty_like(given[0])
        call(library, "recurrent", (*given, found), ctx.sizes)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        given = ctx.saved_tensors
        found = [torch.empty_like(part) for part in given]
        call(ctx.library, "recurrent_back", (*given, grad.contiguous(), *found), ctx.sizes)
        return None, None, found[0], *_typed(found[1:], ctx.types)


def _plain(weight: Tensor) -> Tensor:
    return weight.float().contiguous()


def _typed(gradients: list[Tensor], types: list[torch.dtype]) -> list[Tensor]:
    return [part.to(dtype) for part, dtype in zip(gradients, types, strict=True)]
