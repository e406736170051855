"""Complex layer normalisation, alone or with CReLU, as one operator with an analytic gradient.

For each example and channel the normalisation is a 2x2 real affine map of (Re, Im), found from
five moments of the input. Written this way it costs two passes over memory forward and two
backward; autograd through the plain formula needs several times as many (DESIGN section 2).
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from cplxsep.nn import compiled

Scope = Literal["channel", "layer"]
EPS = 1e-4


def _moments(rows: Tensor, scope: Scope) -> tuple[Tensor, Tensor]:
    """Shift (2, B, C) and the five shifted raw moments (5, B, C) of rows (B, P, 2C).

    Moments are taken about one value of the map itself: sums of raw squares would lose the
    variance to rounding where a channel's mean is large against its spread.
    """
    real, imag = rows.chunk(2, dim=2)
    shift = torch.stack([real[:, 0], imag[:, 0]])
    if scope == "layer":
        shift = shift.mean(dim=2, keepdim=True).expand_as(shift)
    real = real - shift[0].unsqueeze(1)
    imag = imag - shift[1].unsqueeze(1)
    sums = [real.sum(1), imag.sum(1)]
    sums += [(real * real).sum(1), (real * imag).sum(1), (imag * imag).sum(1)]
    return shift, torch.stack(sums) / rows.shape[1]


def _affine(moments: Tensor, gain: Tensor, bias: Tensor, scope: Scope) -> tuple[Tensor, Tensor]:
    """Matrix (4, B, C) and offset (2, B, C) of the map from shifted values to the output."""
    if scope == "layer":
        moments = moments.mean(dim=2, keepdim=True)
    mean_r, mean_i, rr, ri, ii = moments
    rr = rr - mean_r * mean_r + EPS
    ii = ii - mean_i * mean_i + EPS
    ri = ri - mean_r * mean_i
    # V^-1/2 of the 2x2 covariance [[rr, ri], [ri, ii]] in closed form (SPEC section 3).
    s = torch.sqrt(torch.clamp(rr * ii - ri * ri, min=EPS * EPS))
    scale = 1 / (s * torch.sqrt(rr + ii + 2 * s))
    w_rr, w_ri, w_ii = (ii + s) * scale, -ri * scale, (rr + s) * scale
    g_rr, g_ri, g_ii = gain
    matrix = torch.stack(
        [
            g_rr * w_rr + g_ri * w_ri,
            g_rr * w_ri + g_ri * w_ii,
            g_ri * w_rr + g_ii * w_ri,
            g_ri * w_ri + g_ii * w_ii,
        ]
    )
    offset = torch.stack(
        [
            bias[0] - matrix[0] * mean_r - matrix[1] * mean_i,
            bias[1] - matrix[2] * mean_r - matrix[3] * mean_i,
        ]
    )
    return matrix, offset


def _transform(real: Tensor, imag: Tensor, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    m, o = matrix.unsqueeze(2), offset.unsqueeze(2)
    return m[0] * real + m[1] * imag + o[0], m[2] * real + m[3] * imag + o[1]


def _forward(
    rows: Tensor, gain: Tensor, bias: Tensor, scope: Scope, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Output rows, and what the backward pass needs: shift and moments."""
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    shift, moments = _moments(wide, scope)
    matrix, offset = _affine(moments, gain, bias, scope)
    # Fold the shift into the offset, so that the second pass reads the input once, as it is.
    out = _transform(*wide.chunk(2, dim=2), matrix, offset - _matvec(matrix, shift))
    if relu:
        out = (torch.relu(out[0]), torch.relu(out[1]))
    return torch.cat(out, dim=2).to(rows.dtype), shift, moments


def _matvec(matrix: Tensor, vector: Tensor) -> Tensor:
    return torch.stack(
        [
            matrix[0] * vector[0] + matrix[1] * vector[1],
            matrix[2] * vector[0] + matrix[3] * vector[1],
        ]
    )


def _backward(
    grad: Tensor,
    rows: Tensor,
    shift: Tensor,
    moments: Tensor,
    gain: Tensor,
    bias: Tensor,
    scope: Scope,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients for rows, gain and bias."""
    (matrix, offset), pull_back = torch.func.vjp(
        lambda *inputs: _affine(*inputs, scope), moments, gain, bias
    )
    wide = rows.to(shift.dtype)
    real, imag = wide.chunk(2, dim=2)
    grad_r, grad_i = grad.to(shift.dtype).chunk(2, dim=2)
    if relu:
        out_r, out_i = _transform(real, imag, matrix, offset - _matvec(matrix, shift))
        grad_r = torch.where(out_r > 0, grad_r, 0)
        grad_i = torch.where(out_i > 0, grad_i, 0)
    real = real - shift[0].unsqueeze(1)
    imag = imag - shift[1].unsqueeze(1)
    sums = [(grad_r * real).sum(1), (grad_r * imag).sum(1)]
    sums += [(grad_i * real).sum(1), (grad_i * imag).sum(1)]
    grad_moments, grad_gain, grad_bias = pull_back(
        (torch.stack(sums), torch.stack([grad_r.sum(1), grad_i.sum(1)]))
    )
    d_r, d_i, d_rr, d_ri, d_ii = (grad_moments / rows.shape[1]).unsqueeze(2)
    m = matrix.unsqueeze(2)
    into_r = m[0] * grad_r + m[2] * grad_i + 2 * d_rr * real + d_ri * imag + d_r
    into_i = m[1] * grad_r + m[3] * grad_i + d_ri * real + 2 * d_ii * imag + d_i
    return torch.cat([into_r, into_i], dim=2).to(rows.dtype), grad_gain, grad_bias


class _Normalise(torch.autograd.Function):
    """Rows (B, P, 2C) to normalised rows; the gradient is written out, not traced."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, gain: Tensor, bias: Tensor, scope: Scope, relu: bool
    ) -> Tensor:
        out, shift, moments = compiled.call(_forward, rows, gain, bias, scope, relu)
        ctx.save_for_backward(rows, shift, moments, gain, bias)
        ctx.options = (scope, relu)
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        grads = compiled.call(_backward, grad, *ctx.saved_tensors, *ctx.options)
        return (*grads, None, None)


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
        self.gain = nn.Parameter(torch.tensor([root_half, 0.0, root_half]).repeat(maps, 1).T.clone())
        self.bias = nn.Parameter(torch.zeros(2, maps))
        self.relu = relu
        self.scope: Scope = scope

    def forward(self, maps: Tensor) -> Tensor:
        batch, _, bins, frames = maps.shape
        rows = maps.permute(0, 2, 3, 1).reshape(batch, bins * frames, -1)
        out = _Normalise.apply(rows, self.gain, self.bias, self.scope, self.relu)
        return out.view(batch, bins, frames, -1).permute(0, 3, 1, 2)
