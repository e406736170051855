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
        # The convolution's output is kept.
        return self._block("local", (*maps.shape, causal), 1, maps, weights)

    def recurrent(self, maps: Tensor, weights: Weights, along: Along) -> Tensor:
        """x + W recurrence(V norm(x)). weights: norm's gain and bias (C,), V (6K, C), bias (6K,)
        and theta (2, K) of the states, W (C, 4K)."""
        states = weights[4].shape[1]
        way = (along == "bands", along == "past frames")
        return self._block("recurrent", (*maps.shape, states, *way), 0, maps, weights)

    def _block(
        self, name: str, sizes: tuple[int, ...], keeps: int, maps: Tensor, weights: Weights
    ) -> Tensor:
        found = _Block.apply(self._library, name, sizes, keeps, maps, *weights)
        assert isinstance(found, Tensor)
        return found


class _Block(torch.autograd.Function):
    """A block by its name, which keeps so many maps for its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        library: ctypes.CDLL,
        name: str,
        sizes: tuple[int, ...],
        keeps: int,
        maps: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        given = maps.contiguous(), *(weight.float().contiguous() for weight in weights)
        *kept, found = (torch.empty_like(given[0]) for _ in range(keeps + 1))
        ctx.library, ctx.name, ctx.sizes, ctx.keeps = library, name, sizes, keeps
        ctx.types = [weight.dtype for weight in weights]
        ctx.save_for_backward(*given, *kept)
        call(library, name, (*given, *kept, found), sizes)
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        given = saved[: len(saved) - ctx.keeps]
        of_kept = map(torch.empty_like, saved[len(given) :])
        of_maps, *of_weights = map(torch.empty_like, given)
        found = (*of_kept, of_maps, *of_weights)
        call(ctx.library, f"{ctx.name}_back", (*saved, grad.contiguous(), *found), ctx.sizes)
        typed = (part.to(dtype) for part, dtype in zip(of_weights, ctx.types, strict=True))
        return None, None, None, None, of_maps, *typed
