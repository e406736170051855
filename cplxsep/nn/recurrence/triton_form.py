"""The recurrence in Triton, both directions, for a GPU.

A program runs through one or two sequences in one direction, for up to 64 states, in registers.
The bias is added inside, so that its gradient is summed in the backward sweep and costs no pass of
its own. Every program writes its own sums; PyTorch adds them up in an order that does not change.
Source: TEMPORAL.md sections 2 and 3. Importing this file needs Triton.
"""

# mypy: disable-error-code="no-untyped-def"

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from cplxsep.nn.recurrence.statement import Along

# Sizes change with the recording: no code of its own for each.
_SIZES = ["length", "inner", "outer_stride", "step", "count"]
_STATES = 64  # of a program
_STAGES = 4  # loads are up to three positions ahead


@triton.jit
def _begin(sequence, inner, outer_stride):
    """Position at which sequences begin, inner ones side by side."""
    return (sequence // inner).to(tl.int64) * outer_stride + sequence % inner


@triton.jit
def _position(given, known, z_bias, r_bias, i_bias, K: tl.constexpr):
    """Gate and candidate of a position."""
    z = tl.load(given, mask=known, other=0.0).to(tl.float32) + z_bias
    x_r = tl.load(given + K, mask=known, other=0.0).to(tl.float32) + r_bias
    x_i = tl.load(given + 2 * K, mask=known, other=0.0).to(tl.float32) + i_bias
    return tl.sigmoid(z), x_r, x_i


@triton.jit
def _parameters(bias, theta, known, K: tl.constexpr):
    """Biases, and the turn's cosine and sine."""
    z = tl.load(bias, mask=known, other=0.0).to(tl.float32)
    x_r = tl.load(bias + K, mask=known, other=0.0).to(tl.float32)
    x_i = tl.load(bias + 2 * K, mask=known, other=0.0).to(tl.float32)
    turn = tl.load(theta, mask=known, other=0.0).to(tl.float32)
    return z, x_r, x_i, tl.cos(turn), tl.sin(turn)


@triton.jit(do_not_specialize=_SIZES)
def _forward(
    given, bias, theta, states, length, inner, outer_stride, step, count,
    PAST: tl.constexpr, K: tl.constexpr, KB: tl.constexpr, SB: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    d = tl.program_id(1)
    back = 0 if PAST else d  # whether it runs from the last position to the first
    sequence = tl.program_id(0) * SB + tl.arange(0, SB)[:, None]
    k = tl.program_id(2) * KB + tl.arange(0, KB)[None, :]
    known = (sequence < count) & (k < K)
    of = _parameters(bias + d * 3 * K + k, theta + d * K + k, k < K, K)
    z_bias, r_bias, i_bias, c, s = of
    at = _begin(sequence, inner, outer_stride) + back * (length - 1) * step
    stride = step * (1 - 2 * back)
    given += at * (6 * K) + d * 3 * K + k
    states += at * (4 * K) + d * 2 * K + k
    h_r = tl.zeros([SB, KB], tl.float32)
    h_i = tl.zeros([SB, KB], tl.float32)
    for _ in tl.range(0, length, num_stages=STAGES):
        a, x_r, x_i = _position(given, known, z_bias, r_bias, i_bias, K)
        turned_r = c * h_r - s * h_i
        turned_i = s * h_r + c * h_i
        h_r = a * (turned_r - x_r) + x_r
        h_i = a * (turned_i - x_i) + x_i
        tl.store(states, h_r.to(states.dtype.element_ty), mask=known)
        tl.store(states + K, h_i.to(states.dtype.element_ty), mask=known)
        given += stride * (6 * K)
        states += stride * (4 * K)


@triton.jit(do_not_specialize=_SIZES)
def _backward(
    given, bias, theta, states, grad, into, sums, length, inner, outer_stride, step, count,
    PAST: tl.constexpr, K: tl.constexpr, KB: tl.constexpr, SB: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Against the direction; sums (programs, 2, 4, K) of z, Re x, Im x and theta."""
    d = tl.program_id(1)
    back = 0 if PAST else d
    sequence = tl.program_id(0) * SB + tl.arange(0, SB)[:, None]
    k = tl.program_id(2) * KB + tl.arange(0, KB)[None, :]
    known = (sequence < count) & (k < K)
    of = _parameters(bias + d * 3 * K + k, theta + d * K + k, k < K, K)
    z_bias, r_bias, i_bias, c, s = of
    at = _begin(sequence, inner, outer_stride) + (1 - back) * (length - 1) * step
    stride = step * (2 * back - 1)
    given += at * (6 * K) + d * 3 * K + k
    into += at * (6 * K) + d * 3 * K + k
    grad += at * (4 * K) + d * 2 * K + k
    states += (at + stride) * (4 * K) + d * 2 * K + k  # of the position before
    q_r = tl.zeros([SB, KB], tl.float32)
    q_i = tl.zeros([SB, KB], tl.float32)
    sum_z = tl.zeros([SB, KB], tl.float32)
    sum_r = tl.zeros([SB, KB], tl.float32)
    sum_i = tl.zeros([SB, KB], tl.float32)
    sum_t = tl.zeros([SB, KB], tl.float32)
    for t in tl.range(0, length, num_stages=STAGES):
        a, x_r, x_i = _position(given, known, z_bias, r_bias, i_bias, K)
        q_r += tl.load(grad, mask=known, other=0.0).to(tl.float32)
        q_i += tl.load(grad + K, mask=known, other=0.0).to(tl.float32)
        before = known & (t + 1 < length)
        h_r = tl.load(states, mask=before, other=0.0).to(tl.float32)
        h_i = tl.load(states + K, mask=before, other=0.0).to(tl.float32)
        p_r = c * h_r - s * h_i
        p_i = s * h_r + c * h_i
        of_z = a * (1 - a) * (q_r * (p_r - x_r) + q_i * (p_i - x_i))
        of_r = (1 - a) * q_r
        of_i = (1 - a) * q_i
        tl.store(into, of_z.to(into.dtype.element_ty), mask=known)
        tl.store(into + K, of_r.to(into.dtype.element_ty), mask=known)
        tl.store(into + 2 * K, of_i.to(into.dtype.element_ty), mask=known)
        # Where a lane has no sequence or no state, q is zero and so is what is summed.
        sum_z += of_z
        sum_r += of_r
        sum_i += of_i
        sum_t += a * (p_r * q_i - p_i * q_r)
        before_r = a * (c * q_r + s * q_i)
        q_i = a * (c * q_i - s * q_r)
        q_r = before_r
        given += stride * (6 * K)
        into += stride * (6 * K)
        grad += stride * (4 * K)
        states += stride * (4 * K)
    lane = tl.program_id(2) * KB + tl.arange(0, KB)
    sums += (tl.program_id(0) * 2 + d) * (4 * K) + lane
    tl.store(sums, tl.sum(sum_z, 0), mask=lane < K)
    tl.store(sums + K, tl.sum(sum_r, 0), mask=lane < K)
    tl.store(sums + 2 * K, tl.sum(sum_i, 0), mask=lane < K)
    tl.store(sums + 3 * K, tl.sum(sum_t, 0), mask=lane < K)


class TritonRecurrence(torch.autograd.Function):
    """As `statement.loop`, for any type but float64; states and gates are float32."""

    @staticmethod
    def forward(ctx: Any, projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
        projection, bias, theta = (part.contiguous() for part in (projection, bias, theta))
        states = projection.new_empty(*projection.shape[:3], 4 * theta.shape[1])
        _launch(_forward, along, projection, bias, theta, states)
        ctx.save_for_backward(projection, bias, theta, states)
        ctx.along = along
        return states

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        projection, bias, theta, states = ctx.saved_tensors
        into = torch.empty_like(projection)
        programs = _programs(projection, ctx.along)
        sums = bias.new_empty(programs, 2, 4, theta.shape[1], dtype=torch.float32)
        given = (projection, bias, theta, states, grad.contiguous())
        _launch(_backward, ctx.along, *given, into, sums)
        total = sums.sum(0)
        return into, total[:, :3].flatten().to(bias.dtype), total[:, 3].to(theta.dtype), None


def _programs(projection: Tensor, along: Along) -> int:
    """Programs over sequences: along bands two neighbours share one, for wider loads."""
    batch, bands, frames = projection.shape[:3]
    return triton.cdiv(batch * frames, 2) if along == "bands" else batch * bands


def _launch(function: Any, along: Along, *tensors: Tensor) -> None:
    projection = tensors[0]
    batch, bands, frames, parts = projection.shape
    states = parts // 6
    block = min(_STATES, triton.next_power_of_2(states))
    if along == "bands":
        together, sizes = 2, (bands, frames, bands * frames, frames, batch * frames)
    else:
        together, sizes = 1, (frames, 1, frames, 1, batch * bands)
    grid = (_programs(projection, along), 2, triton.cdiv(states, block))
    shape = (along == "past frames", states, block, together, _STAGES)
    with torch.cuda.device_of(projection):
        function[grid](*tensors, *sizes, *shape, num_warps=together)
