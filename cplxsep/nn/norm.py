"""Complex layer normalisation, alone or with CReLU, as one operator with an analytic gradient.

For each example and channel the normalisation is a 2x2 real affine map of (Re, Im), found from
five moments of the input. Written this way it costs two sweeps over memory forward and two
backward (`cplxsep.nn.passes`); autograd through the plain formula needs several times as many.
Where there is compiled code for the whole, it takes the place of the formulas here too: on a CPU
the small tensors between the sweeps cost as much as the sweeps.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cplxsep.nn.passes import WholeNorm, passes_for, whole_for

Scope = Literal["channel", "layer"]
EPS = 1e-4


class _Whitening:
    """V^-1/2 of the covariance in five shifted moments (5, B, C), and its derivative.

    V = [[rr, ri], [ri, ii]] with EPS on its diagonal; closed form of SPEC section 3.
    """

    def __init__(self, moments: Tensor) -> None:
        self.mean = moments[:2]
        mean_r, mean_i = self.mean
        self.rr = moments[2] - mean_r * mean_r + EPS
        self.ri = moments[3] - mean_r * mean_i
        self.ii = moments[4] - mean_i * mean_i + EPS
        determinant = self.rr * self.ii - self.ri * self.ri
        # At least EPS^2 in exact arithmetic; rounding of a nearly singular V must not pass it.
        self.s = determinant.clamp_min(EPS * EPS).sqrt()
        self.t = (self.rr + self.ii + 2 * self.s).sqrt()
        self.k = 1 / (self.s * self.t)
        self.w_rr = (self.ii + self.s) * self.k
        self.w_ri = -self.ri * self.k
        self.w_ii = (self.rr + self.s) * self.k

    def backward(self, g_rr: Tensor, g_ri: Tensor, g_ii: Tensor) -> Tensor:
        """Gradient (3, B, C) for the covariance from that for w_rr, w_ri, w_ii."""
        into_k = g_rr * (self.ii + self.s) - g_ri * self.ri + g_ii * (self.rr + self.s)
        into_t = -into_k * self.k / self.t
        into_s = (g_rr + g_ii - into_k / self.s) * self.k + into_t / self.t
        both = into_t / (2 * self.t)
        half = into_s / (2 * self.s)
        return torch.stack(
            [
                g_ii * self.k + both + half * self.ii,
                -g_ri * self.k - 2 * half * self.ri,
                g_rr * self.k + both + half * self.rr,
            ]
        )


def whitening_matrix(covariance: Tensor, gain: Tensor) -> Tensor:
    """Gain (3, C) times V^-1/2 of a covariance (3, B, C) without EPS, as (4, B, C)."""
    white = _Whitening(torch.cat([torch.zeros_like(covariance[:2]), covariance]))
    return _matmul(_symmetric(*gain), _symmetric(white.w_rr, white.w_ri, white.w_ii))


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """Product of 2x2 matrices stored as (4, ...), row by row."""
    return torch.stack(
        [
            a[0] * b[0] + a[1] * b[2],
            a[0] * b[1] + a[1] * b[3],
            a[2] * b[0] + a[3] * b[2],
            a[2] * b[1] + a[3] * b[3],
        ]
    )


def _matvec(a: Tensor, v: Tensor) -> Tensor:
    return torch.stack([a[0] * v[0] + a[1] * v[1], a[2] * v[0] + a[3] * v[1]])


def _symmetric(rr: Tensor, ri: Tensor, ii: Tensor) -> Tensor:
    return torch.stack([rr, ri, ri, ii])


def _shift(rows: Tensor, scope: Scope) -> Tensor:
    """One value of the map itself (2, B, C), about which moments are taken.

    Raw squares would lose the variance to rounding where a mean is large against the spread.
    """
    first = rows[:, 0].to(torch.promote_types(rows.dtype, torch.float32))
    shift = torch.stack(first.chunk(2, dim=1))
    return shift.mean(dim=2, keepdim=True).expand_as(shift) if scope == "layer" else shift


class _Normalise(torch.autograd.Function):
    """Rows (B, P, 2C) to normalised rows; the gradient is written out, not traced."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, gain: Tensor, bias: Tensor, scope: Scope, relu: bool
    ) -> Tensor:
        passes = passes_for(rows)
        shift = _shift(rows, scope)
        moments = passes.moments(rows, shift)
        if scope == "layer":
            moments = moments.mean(dim=2, keepdim=True)
        white = _Whitening(moments)
        matrix = _matmul(_symmetric(*gain), _symmetric(white.w_rr, white.w_ri, white.w_ii))
        offset = bias.unsqueeze(1) - _matvec(matrix, white.mean + shift)
        ctx.save_for_backward(rows, shift, moments, gain, matrix, offset)
        ctx.options = (scope, relu)
        return passes.transform(rows, matrix, offset, relu)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, shift, moments, gain, matrix, offset = ctx.saved_tensors
        scope, relu = ctx.options
        grad = grad.to(rows.dtype).contiguous()
        passes = passes_for(rows)
        sums = passes.grad_sums(rows, grad, matrix, offset, shift, relu)
        white = _Whitening(moments)
        g, outer = sums[:2], sums[2:]
        # offset = bias - matrix @ mean, in shifted coordinates: that is where `mean` comes in.
        mean_r, mean_i = white.mean
        into_matrix = outer - torch.stack(
            [g[0] * mean_r, g[0] * mean_i, g[1] * mean_r, g[1] * mean_i]
        )
        white_matrix = _symmetric(white.w_rr, white.w_ri, white.w_ii)
        into_gain = _matmul(into_matrix, white_matrix)  # W is symmetric
        into_white = _matmul(_symmetric(*gain), into_matrix)  # and so is the gain
        into_v = white.backward(into_white[0], into_white[1] + into_white[2], into_white[3])
        into_mean = -torch.stack(
            [matrix[0] * g[0] + matrix[2] * g[1], matrix[1] * g[0] + matrix[3] * g[1]]
        )
        if scope == "layer":
            # Shared statistics collect the gradient of all channels and give each its share.
            into_v = into_v.sum(dim=2, keepdim=True) / gain.shape[1]
            into_mean = into_mean.sum(dim=2, keepdim=True) / gain.shape[1]
        back = _back_to_rows(into_v, into_mean, white.mean + shift, rows.shape[1])
        into_rows = passes.grad_input(rows, grad, matrix, offset, back, relu)
        grad_gain = torch.stack([into_gain[0], into_gain[1] + into_gain[2], into_gain[3]]).sum(1)
        return into_rows, grad_gain, g.sum(1), None, None


class _WholeNormalise(torch.autograd.Function):
    """The same, with compiled code."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        gain: Tensor,
        bias: Tensor,
        whole: WholeNorm,
        options: tuple[bool, bool],
    ) -> Tensor:
        out, stats = whole.forward(rows, gain, bias, *options)
        ctx.save_for_backward(rows, stats, gain, bias)
        ctx.whole, ctx.options = whole, options
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, stats, gain, bias = ctx.saved_tensors
        grad = grad.to(rows.dtype).contiguous()
        return *ctx.whole.backward(rows, grad, stats, gain, bias, *ctx.options), None, None


def normalise(rows: Tensor, gain: Tensor, bias: Tensor, scope: Scope, relu: bool) -> Tensor:
    """Rows (B, P, 2C) whitened example by example, then gain (3, C) and bias (2, C) applied."""
    if whole := whole_for(rows):
        return _WholeNormalise.apply(rows, gain, bias, whole, (scope == "layer", relu))
    return _Normalise.apply(rows, gain, bias, scope, relu)


@torch.no_grad()
def covariance(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (2, B, C) and covariance rr, ri, ii (3, B, C) of rows (B, P, 2C), without EPS."""
    if whole := whole_for(rows):
        stats = whole.statistics(rows)
        return stats[:2], stats[2:]
    shift = _shift(rows, "channel")
    moments = passes_for(rows).moments(rows, shift)
    mean_r, mean_i = moments[:2]
    square = torch.stack([mean_r * mean_r, mean_r * mean_i, mean_i * mean_i])
    return moments[:2] + shift, moments[2:] - square


def to_rows(maps: Tensor) -> Tensor:
    """Maps (B, 2C, F, T) as rows (B, F * T, 2C); no copy of maps that are channels-last."""
    maps = maps.contiguous(memory_format=torch.channels_last)
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def to_maps(rows: Tensor, shape: torch.Size) -> Tensor:
    """Maps of the given shape (B, 2C, F, T), channels-last, from rows."""
    batch, channels, bins, frames = shape
    return rows.view(batch, bins, frames, channels).permute(0, 3, 1, 2)


def _back_to_rows(into_v: Tensor, into_mean: Tensor, mean: Tensor, positions: int) -> Tensor:
    """Coefficients (5, B, C) of the part of the rows' gradient that comes through statistics."""
    rr, ri, ii = 2 * into_v[0], into_v[1], 2 * into_v[2]
    constant = into_mean - torch.stack([rr * mean[0] + ri * mean[1], ri * mean[0] + ii * mean[1]])
    back = torch.stack([item.expand_as(mean[0]) for item in (rr, ri, ii, *constant)])
    return back / positions


class ComplexNorm(nn.Module):
    """Complex layer norm of maps (B, 2C, F, T), optionally followed by CReLU.

    Each example is centred and whitened by the inverse square root of its 2x2 covariance, then
    scaled by a learned symmetric 2x2 matrix and shifted: 5 real parameters per channel. There
    are no running statistics. Statistics are at least float32 whatever the input's type.

    Source: Trabelsi et al. 2017, section 3.5; paper section 5 and SPEC section 3.

    Args:
        maps: complex channels C.
        relu: apply CReLU (the real ReLU on both parts) in the same pass.
        scope: "channel", statistics over (F, T) of each channel as in the published code; or
            "layer", over all features (C, F, T) of an example, the paper's wording.
    """

    def __init__(self, maps: int, *, relu: bool = False, scope: Scope = "channel") -> None:
        super().__init__()
        root_half = 2**-0.5
        self.gain = nn.Parameter(
            torch.tensor([root_half, 0.0, root_half]).repeat(maps, 1).T.clone()
        )
        self.bias = nn.Parameter(torch.zeros(2, maps))
        self.relu = relu
        self.scope: Scope = scope

    def forward(self, maps: Tensor) -> Tensor:
        rows = normalise(to_rows(maps), self.gain, self.bias, self.scope, self.relu)
        return to_maps(rows, maps.shape)
