"""The norm of a position in Triton, for a GPU: both gradients meet in one sweep.

A program takes tiles of some positions and all their channels. In the backward sweep a program
takes several tiles one after the other and writes one sum; PyTorch adds these up in an order that
does not change. Importing this file needs Triton.
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from cplxsep.nn.position_norm.statement import EPS

_VALUES = 2048  # of a tile
_PROGRAMS = 1024  # at most, in the backward sweep: enough to fill any GPU


@triton.jit
def _whitened(rows, c, known, eps, C: tl.constexpr):
    """Values at zero mean and unit variance, zero where there are none, and their factor."""
    values = tl.load(rows + c, mask=known, other=0.0).to(tl.float32)
    centred = tl.where(known, values - tl.sum(values, 1)[:, None] / C, 0.0)
    scale = 1 / tl.sqrt(tl.sum(centred * centred, 1)[:, None] / C + eps)
    return centred * scale, scale


@triton.jit(do_not_specialize=["positions"])
def _forward(
    rows, gain, bias, to, eps, positions,
    C: tl.constexpr, CB: tl.constexpr, PB: tl.constexpr,
):  # fmt: skip
    p = tl.program_id(0).to(tl.int64) * PB + tl.arange(0, PB)[:, None]
    c = tl.arange(0, CB)[None, :]
    known = (p < positions) & (c < C)
    white, _ = _whitened(rows + p * C, c, known, eps, C)
    factor = tl.load(gain + c, mask=c < C, other=0.0).to(tl.float32)
    offset = tl.load(bias + c, mask=c < C, other=0.0).to(tl.float32)
    out = white * factor + offset
    tl.store(to + p * C + c, out.to(to.dtype.element_ty), mask=known)


@triton.jit(do_not_specialize=["positions", "tiles"])
def _backward(
    rows, gain, through, grad, into, sums, eps, positions, tiles,
    C: tl.constexpr, CB: tl.constexpr, PB: tl.constexpr, THROUGH: tl.constexpr,
):  # fmt: skip
    """`tiles` tiles of a program; sums (programs, 2, C) of the gradients of gain and bias."""
    c = tl.arange(0, CB)[None, :]
    factor = tl.load(gain + c, mask=c < C, other=0.0).to(tl.float32)
    of_gain = tl.zeros([PB, CB], tl.float32)
    of_bias = tl.zeros([PB, CB], tl.float32)
    for tile in range(tiles):
        p = (tl.program_id(0).to(tl.int64) * tiles + tile) * PB + tl.arange(0, PB)[:, None]
        known = (p < positions) & (c < C)
        white, scale = _whitened(rows + p * C, c, known, eps, C)
        given = tl.load(grad + p * C + c, mask=known, other=0.0).to(tl.float32)
        g = given * factor
        mean = tl.sum(g, 1)[:, None] / C
        along = tl.sum(g * white, 1)[:, None] / C
        out = scale * (g - mean - white * along)
        if THROUGH:
            out += tl.load(through + p * C + c, mask=known, other=0.0).to(tl.float32)
        tl.store(into + p * C + c, out.to(into.dtype.element_ty), mask=known)
        of_gain += given * white
        of_bias += given
    lane = tl.arange(0, CB)
    sums += tl.program_id(0) * 2 * C + lane
    tl.store(sums, tl.sum(of_gain, 0), mask=lane < C)
    tl.store(sums + C, tl.sum(of_bias, 0), mask=lane < C)


class TritonNorm(torch.autograd.Function):
    """As `statement.statement`, for any type but float64; sums are float32."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        rows, gain = maps.contiguous(), gain.contiguous()
        normed = torch.empty_like(rows)
        positions, *blocks = _blocks(rows)
        with torch.cuda.device_of(rows):
            _forward[(triton.cdiv(positions, blocks[-1]),)](
                rows, gain, bias.contiguous(), normed, EPS, positions, *blocks
            )
        ctx.save_for_backward(rows, gain)
        ctx.type = bias.dtype
        ctx.set_materialize_grads(False)
        return maps.view_as(maps), normed

    @staticmethod
    def backward(
        ctx: Any, through: Tensor | None, grad: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, gain = ctx.saved_tensors
        if grad is None:
            return through, None, None
        positions, *blocks = _blocks(rows)
        count = triton.cdiv(positions, blocks[-1])
        tiles = triton.cdiv(count, _PROGRAMS)
        programs = triton.cdiv(count, tiles)
        into = torch.empty_like(rows)
        sums = torch.empty(programs, 2, rows.shape[-1], device=rows.device)
        beside = into if through is None else through.contiguous()  # never read when there is none
        given = (rows, gain, beside, grad.contiguous(), into, sums, EPS, positions, tiles)
        with torch.cuda.device_of(rows):
            _backward[(programs,)](*given, *blocks, through is not None)
        of_gain, of_bias = sums.sum(0)
        return into, of_gain.to(gain.dtype), of_bias.to(ctx.type)


def _blocks(rows: Tensor) -> tuple[int, int, int, int]:
    """Positions, channels, and how many of either a tile has: the next power of two at least."""
    channels = rows.shape[-1]
    block = triton.next_power_of_2(channels)
    return rows.numel() // channels, channels, block, max(1, _VALUES // block)
