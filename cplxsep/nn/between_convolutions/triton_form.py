"""The functions between convolutions in Triton, for a GPU: each reads and writes maps once.

A program takes tiles of some positions and up to 64 complex channels. Statistics are found tile by
tile about the tile's own mean, and joined as Chan et al. (1983) do, in an order that depends on the
size of the maps alone. Importing this file needs Triton.
"""

# mypy: disable-error-code="no-untyped-def"

import torch
import triton
import triton.language as tl
from torch import Tensor

from cplxsep.nn.between_convolutions.statement import Between, NormWeights, coefficients_of_both
from cplxsep.nn.complex_norm.statement import coefficients

_VALUES = 2048  # complex ones of a tile
_CHANNELS = 64  # of a program
_PROGRAMS = 64  # at most, for the statistics of one example
_SIZES = ["height", "width", "columns", "positions", "tiles", "programs"]


@triton.jit
def _line(along, size, scale, STEP: tl.constexpr, UP: tl.constexpr):
    """Where a position reads along one axis: a first and second line, and the second's weight."""
    if UP:
        at = along.to(tl.float32) * scale
        first = at.to(tl.int32)
        second = tl.minimum(first + 1, size - 1)
        weight = at - first.to(tl.float32)
    else:
        first = along * STEP
        second = first
        weight = along.to(tl.float32) * 0.0
    return first, second, weight


@triton.jit
def _values(
    maps, p, c, known, height, width, columns, y_scale, x_scale,
    C: tl.constexpr, STEP: tl.constexpr, UP: tl.constexpr,
):  # fmt: skip
    """Values (positions, channels) of maps (H, W, 2C): every STEP-th, or interpolated."""
    y0, y1, wy = _line(p // columns, height, y_scale, STEP, UP)
    x0, x1, wx = _line(p % columns, width, x_scale, STEP, UP)
    first = maps + (y0 * width + x0).to(tl.int64) * (2 * C) + c
    value = tl.load(first, mask=known, other=0.0).to(tl.float32)
    if UP:
        right = maps + (y0 * width + x1).to(tl.int64) * (2 * C) + c
        below = maps + (y1 * width + x0).to(tl.int64) * (2 * C) + c
        last = maps + (y1 * width + x1).to(tl.int64) * (2 * C) + c
        top = value * (1 - wx) + tl.load(right, mask=known, other=0.0).to(tl.float32) * wx
        bottom = tl.load(below, mask=known, other=0.0).to(tl.float32) * (1 - wx)
        bottom += tl.load(last, mask=known, other=0.0).to(tl.float32) * wx
        value = top * (1 - wy) + bottom * wy
    return value


@triton.jit
def _joined(n, r, i, rr, ri, ii, m, to_r, to_i, to_rr, to_ri, to_ii):
    """Count, means and centred products of two parts together."""
    total = n + m
    share = m / tl.maximum(total, 1.0)
    apart_r = to_r - r
    apart_i = to_i - i
    both = n * share
    rr += to_rr + apart_r * apart_r * both
    ri += to_ri + apart_r * apart_i * both
    ii += to_ii + apart_i * apart_i * both
    return total, r + apart_r * share, i + apart_i * share, rr, ri, ii


@triton.jit(do_not_specialize=_SIZES)
def _moments(
    maps, more, sums, height, width, columns, positions, tiles, y_scale, x_scale,
    C: tl.constexpr, CB: tl.constexpr, PB: tl.constexpr, ADD: tl.constexpr, UP: tl.constexpr,
):  # fmt: skip
    """Of `tiles` tiles; sums (B, programs, 5, C). With ADD, maps become maps + more."""
    example = tl.program_id(1)
    c = tl.program_id(2) * CB + tl.arange(0, CB)[None, :]
    size = height.to(tl.int64) * width * (2 * C)
    maps += example * size
    more += example * size
    n = tl.zeros([1], tl.float32)
    r = tl.zeros([CB], tl.float32)
    i = tl.zeros([CB], tl.float32)
    rr = tl.zeros([CB], tl.float32)
    ri = tl.zeros([CB], tl.float32)
    ii = tl.zeros([CB], tl.float32)
    for tile in range(tiles):
        start = (tl.program_id(0) * tiles + tile) * PB
        p = start + tl.arange(0, PB)[:, None]
        known = (p < positions) & (c < C)
        real = _values(maps, p, c, known, height, width, columns, y_scale, x_scale, C, 1, UP)
        imag = _values(maps + C, p, c, known, height, width, columns, y_scale, x_scale, C, 1, UP)
        if ADD:
            at = p.to(tl.int64) * (2 * C) + c
            real += tl.load(more + at, mask=known, other=0.0).to(tl.float32)
            imag += tl.load(more + at + C, mask=known, other=0.0).to(tl.float32)
            kept_r = real.to(maps.dtype.element_ty)
            kept_i = imag.to(maps.dtype.element_ty)
            tl.store(maps + at, kept_r, mask=known)
            tl.store(maps + at + C, kept_i, mask=known)
            real = kept_r.to(tl.float32)
            imag = kept_i.to(tl.float32)
        m = tl.maximum(tl.minimum(positions - start, PB), 0).to(tl.float32)
        mean_r = tl.sum(real, 0) / tl.maximum(m, 1.0)
        mean_i = tl.sum(imag, 0) / tl.maximum(m, 1.0)
        real = tl.where(known, real - mean_r[None, :], 0.0)
        imag = tl.where(known, imag - mean_i[None, :], 0.0)
        n, r, i, rr, ri, ii = _joined(
            n, r, i, rr, ri, ii, m, mean_r, mean_i,
            tl.sum(real * real, 0), tl.sum(real * imag, 0), tl.sum(imag * imag, 0),
        )  # fmt: skip
    lane = tl.program_id(2) * CB + tl.arange(0, CB)
    sums += (example * tl.num_programs(0) + tl.program_id(0)) * (5 * C) + lane
    tl.store(sums, r, mask=lane < C)
    tl.store(sums + C, i, mask=lane < C)
    tl.store(sums + 2 * C, rr, mask=lane < C)
    tl.store(sums + 3 * C, ri, mask=lane < C)
    tl.store(sums + 4 * C, ii, mask=lane < C)


@triton.jit(do_not_specialize=_SIZES)
def _together(
    sums, stats, positions, tiles, programs,
    C: tl.constexpr, CB: tl.constexpr, PB: tl.constexpr,
):  # fmt: skip
    """Statistics (5, B, C) of what all programs of an example found."""
    example = tl.program_id(0)
    lane = tl.program_id(1) * CB + tl.arange(0, CB)
    known = lane < C
    n = tl.zeros([1], tl.float32)
    r = tl.zeros([CB], tl.float32)
    i = tl.zeros([CB], tl.float32)
    rr = tl.zeros([CB], tl.float32)
    ri = tl.zeros([CB], tl.float32)
    ii = tl.zeros([CB], tl.float32)
    for program in range(programs):
        at = sums + (example * programs + program) * (5 * C) + lane
        m = tl.minimum(positions - program * tiles * PB, tiles * PB).to(tl.float32)
        n, r, i, rr, ri, ii = _joined(
            n, r, i, rr, ri, ii, m,
            tl.load(at, mask=known, other=0.0),
            tl.load(at + C, mask=known, other=0.0),
            tl.load(at + 2 * C, mask=known, other=0.0),
            tl.load(at + 3 * C, mask=known, other=0.0),
            tl.load(at + 4 * C, mask=known, other=0.0),
        )  # fmt: skip
    stats += example * C + lane
    step = tl.num_programs(0) * C
    tl.store(stats, r, mask=known)
    tl.store(stats + step, i, mask=known)
    tl.store(stats + 2 * step, rr / n, mask=known)
    tl.store(stats + 3 * step, ri / n, mask=known)
    tl.store(stats + 4 * step, ii / n, mask=known)


@triton.jit(do_not_specialize=[*_SIZES, "out_parts", "real_at", "imag_at"])
def _affine(
    maps, matrix, offset, out, height, width, columns, positions, y_scale, x_scale,
    out_parts, real_at, imag_at,
    C: tl.constexpr, CB: tl.constexpr, PB: tl.constexpr, STEP: tl.constexpr, UP: tl.constexpr,
):  # fmt: skip
    """The affine map and CReLU into channels of out (B, positions, out_parts)."""
    example = tl.program_id(1)
    p = tl.program_id(0) * PB + tl.arange(0, PB)[:, None]
    c = tl.program_id(2) * CB + tl.arange(0, CB)[None, :]
    known = (p < positions) & (c < C)
    maps += example * height.to(tl.int64) * width * (2 * C)
    real = _values(maps, p, c, known, height, width, columns, y_scale, x_scale, C, STEP, UP)
    imag = _values(maps + C, p, c, known, height, width, columns, y_scale, x_scale, C, STEP, UP)
    step = tl.num_programs(1) * C
    m = matrix + example * C + c
    o = offset + example * C + c
    m0 = tl.load(m, mask=c < C, other=0.0)
    m1 = tl.load(m + step, mask=c < C, other=0.0)
    m2 = tl.load(m + 2 * step, mask=c < C, other=0.0)
    m3 = tl.load(m + 3 * step, mask=c < C, other=0.0)
    o0 = tl.load(o, mask=c < C, other=0.0)
    o1 = tl.load(o + step, mask=c < C, other=0.0)
    to = out + (example.to(tl.int64) * positions + p) * out_parts + c
    found_r = m0 * real + m1 * imag + o0
    found_i = m2 * real + m3 * imag + o1
    # Not the maximum with zero, which would hide what is no number.
    found_r = tl.where(found_r < 0, 0.0, found_r)
    found_i = tl.where(found_i < 0, 0.0, found_i)
    tl.store(to + real_at, found_r.to(out.dtype.element_ty), mask=known)
    tl.store(to + imag_at, found_i.to(out.dtype.element_ty), mask=known)


class TritonBetween(Between):
    """As the statement, for every type but float64; statistics are float32."""

    def statistics(self, maps: Tensor) -> Tensor:
        return _statistics(maps, None, False)

    def add(self, maps: Tensor, more: Tensor) -> Tensor:
        return _statistics(maps, more, False)

    def upsampled_statistics(self, maps: Tensor) -> Tensor:
        return _statistics(maps, None, True)

    def normalise(
        self, maps: Tensor, stats: Tensor, norm: NormWeights, stride: int, three: bool
    ) -> Tensor:
        if three:
            return super().normalise(maps, stats, norm, stride, three)
        batch, lines, positions, parts = maps.shape
        out = maps.new_empty(batch, -(-lines // stride), -(-positions // stride), parts)
        _into(out, 0, maps, *coefficients(stats, *norm), stride, False)
        return out

    def normalise_joined(
        self,
        skip: Tensor,
        maps: Tensor,
        stats: tuple[Tensor, Tensor],
        norm: NormWeights,
        three: bool,
    ) -> Tensor:
        if three:
            return super().normalise_joined(skip, maps, stats, norm, three)
        own, other = coefficients_of_both(stats, norm)
        out = skip.new_empty(*skip.shape[:3], skip.shape[3] + maps.shape[3])
        _into(out, 0, skip, *own, 1, False)
        _into(out, skip.shape[3] // 2, maps, *other, 1, True)
        return out


def _statistics(maps: Tensor, more: Tensor | None, up: bool) -> Tensor:
    """Statistics of maps, of maps + more, which maps become, or of maps interpolated."""
    batch = len(maps)
    sizes, scales = _sizes(maps, 1, up)
    channels, width, tile = _blocks(maps.shape[3])
    count = triton.cdiv(sizes[3], tile)
    tiles = triton.cdiv(count, min(count, _PROGRAMS))
    programs, wide = triton.cdiv(count, tiles), triton.cdiv(channels, width)
    sums = maps.new_empty(batch, programs, 5, channels, dtype=torch.float32)
    stats = maps.new_empty(5, batch, channels, dtype=torch.float32)
    beside = maps if more is None else more.contiguous()
    with torch.cuda.device_of(maps):
        _moments[(programs, batch, wide)](
            *(maps, beside, sums, *sizes, tiles, *scales, channels, width, tile),
            *(more is not None, up),
        )
        _together[(batch, wide)](sums, stats, sizes[3], tiles, programs, channels, width, tile)
    return stats


def _into(
    out: Tensor, first: int, maps: Tensor, matrix: Tensor, offset: Tensor, stride: int, up: bool
) -> None:
    """Fill channels from `first` on of out, real and imaginary ones, with normalised maps."""
    sizes, scales = _sizes(maps, stride, up)
    channels, width, tile = _blocks(maps.shape[3])
    grid = (triton.cdiv(sizes[3], tile), len(maps), triton.cdiv(channels, width))
    places = (out.shape[3], first, out.shape[3] // 2 + first)
    with torch.cuda.device_of(maps):
        _affine[grid](
            *(maps, matrix.contiguous(), offset.contiguous(), out, *sizes, *scales, *places),
            *(channels, width, tile, stride, up),
        )


def _sizes(
    maps: Tensor, stride: int, up: bool
) -> tuple[tuple[int, int, int, int], tuple[float, float]]:
    """Lines, columns, columns and positions of what is made; steps between interpolated ones."""
    lines, columns = maps.shape[1:3]
    if up:
        scales = ((lines - 1) / (2 * lines - 1), (columns - 1) / (2 * columns - 1))
        return (lines, columns, 2 * columns, 4 * lines * columns), scales
    made = (-(-lines // stride), -(-columns // stride))
    return (lines, columns, made[1], made[0] * made[1]), (0.0, 0.0)


def _blocks(parts: int) -> tuple[int, int, int]:
    """Complex channels, and how many of them and of positions a tile has."""
    width = min(_CHANNELS, triton.next_power_of_2(parts // 2))
    return parts // 2, width, _VALUES // width
