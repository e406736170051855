"""The complex layer norm and its gradient in plain PyTorch; the oracle of their other forms.

Maps (B, ..., 2C) have their channels last, real halves first; of rows (B, P, 2C) there are
P = F * T positions. Statistics (5, B, C), at least float32, are the means of r and i and the
covariance rr, ri, ii of each channel. Coefficients: matrix (4, B, C) and offset (2, B, C) give
out_r = m0 r + m1 i + o0 and out_i = m2 r + m3 i + o1, then optionally the ReLU on each.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

EPS = 1e-4


class PlainNorm:
    """The statement: a few sweeps over rows, and small tensors between them.

    layer: the statistics of all channels are taken together.
    """

    def statistics(self, rows: Tensor) -> Tensor:
        """Statistics of rows."""
        # About one value of the map itself: raw squares would lose the variance to rounding where
        # a mean is large against the spread.
        shift = torch.stack([part[:, 0] for part in parts(rows[:, :1])])
        moments = self.moments(rows, shift)
        return torch.cat([moments[:2] + shift, moments[2:] - _squares(moments[:2])])

    def forward(
        self, rows: Tensor, gain: Tensor, bias: Tensor, layer: bool, relu: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output rows, and what `backward` wants of it; gain (3, C), bias (2, C)."""
        stats = self.statistics(rows)
        matrix, offset = coefficients(stats, gain, bias, layer)
        return self.transform(rows, matrix, offset, relu), (stats, gain, matrix, offset)

    def backward(
        self, rows: Tensor, grad: Tensor, found: Sequence[Tensor], layer: bool, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients for rows, gain and bias from that for the output."""
        stats, gain, matrix, offset = found
        sums = self.grad_sums(rows, grad, matrix, offset, stats[:2], relu)
        # offset = bias - matrix @ mean: about the mean, only a pooled one still comes in.
        g, into_matrix = sums[:2], sums[2:]
        if layer:
            pooled = _pooled(stats)
            far_r, far_i = stats[:2] - pooled[:2]
            stats = pooled
            into_matrix = into_matrix + torch.stack(
                [g[0] * far_r, g[0] * far_i, g[1] * far_r, g[1] * far_i]
            )
        white = _Whitening(stats[2:])
        into_gain = _matmul(into_matrix, white.matrix)  # it is symmetric
        into_white = _matmul(_symmetric(*gain), into_matrix)  # and so is the gain
        into_v = white.backward(into_white[0], into_white[1] + into_white[2], into_white[3])
        into_mean = -torch.stack(
            [matrix[0] * g[0] + matrix[2] * g[1], matrix[1] * g[0] + matrix[3] * g[1]]
        )
        if layer:
            # Shared statistics collect the gradient of all channels and give each its share.
            into_v = into_v.mean(dim=2, keepdim=True).expand_as(into_v)
            into_mean = into_mean.mean(dim=2, keepdim=True).expand_as(into_mean)
        back = _back_to_rows(into_v, into_mean, stats[:2]) / rows.shape[1]
        into_rows = self.grad_input(rows, grad, matrix, offset, back, relu)
        grad_gain = torch.stack([into_gain[0], into_gain[1] + into_gain[2], into_gain[3]]).sum(1)
        return into_rows, grad_gain, g.sum(1)

    def moments(self, rows: Tensor, shift: Tensor) -> Tensor:
        """Means (5, B, C) of r, i, r*r, r*i, i*i, with shift (2, B, C) taken off first."""
        real, imag = _about(rows, shift)
        values = (real, imag, real * real, real * imag, imag * imag)
        return torch.stack([value.mean(dim=1) for value in values])

    def transform(self, rows: Tensor, matrix: Tensor, offset: Tensor, relu: bool) -> Tensor:
        """Output rows of the affine map."""
        out = torch.cat(affine(rows, matrix, offset), dim=2)
        return (torch.relu(out) if relu else out).to(rows.dtype)

    def grad_sums(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, shift: Tensor, relu: bool
    ) -> Tensor:
        """Sums (6, B, C) of g_r, g_i, g_r r, g_r i, g_i r, g_i i, g the gradient before ReLU
        and r, i the shifted parts."""
        grad_r, grad_i = _before_relu(rows, grad, matrix, offset, relu)
        real, imag = _about(rows, shift)
        values = (grad_r, grad_i, grad_r * real, grad_r * imag, grad_i * real, grad_i * imag)
        return torch.stack([value.sum(dim=1) for value in values])

    def grad_input(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, back: Tensor, relu: bool
    ) -> Tensor:
        """Gradient for the rows: matrix^T g + [[b0, b1], [b1, b2]] (r, i) + (b3, b4)."""
        grad_r, grad_i = _before_relu(rows, grad, matrix, offset, relu)
        real, imag = parts(rows)
        m, b = matrix.unsqueeze(2), back.unsqueeze(2)
        into_r = m[0] * grad_r + m[2] * grad_i + b[0] * real + b[1] * imag + b[3]
        into_i = m[1] * grad_r + m[3] * grad_i + b[1] * real + b[2] * imag + b[4]
        return torch.cat([into_r, into_i], dim=2).to(rows.dtype)


def coefficients(stats: Tensor, gain: Tensor, bias: Tensor, layer: bool) -> tuple[Tensor, Tensor]:
    """Matrix (4, B, C) and offset (2, B, C) that statistics and the norm's parameters amount to."""
    if layer:
        stats = _pooled(stats)
    matrix = _matmul(_symmetric(*gain), _Whitening(stats[2:]).matrix)
    return matrix, bias.unsqueeze(1) - _matvec(matrix, stats[:2])


def parts(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts (B, ..., C) of maps in at least float32."""
    real, imag = wide(maps).chunk(2, dim=-1)
    return real, imag


def wide(maps: Tensor) -> Tensor:
    """Maps in at least float32."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def affine(maps: Tensor, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Both parts (B, ..., C) of the affine map of maps."""
    real, imag = parts(maps)
    for _ in maps.shape[1:-1]:
        matrix, offset = matrix.unsqueeze(2), offset.unsqueeze(2)
    return (
        matrix[0] * real + matrix[1] * imag + offset[0],
        matrix[2] * real + matrix[3] * imag + offset[1],
    )


class _Whitening:
    """V^-1/2 of a covariance (3, B, C), and its derivative.

    V = [[rr, ri], [ri, ii]] with EPS on its diagonal; closed form of SPEC section 3.
    """

    def __init__(self, covariance: Tensor) -> None:
        self.rr, self.ri, self.ii = covariance[0] + EPS, covariance[1], covariance[2] + EPS
        determinant = self.rr * self.ii - self.ri * self.ri
        # At least EPS^2 in exact arithmetic; rounding of a nearly singular V must not pass it.
        self.s = determinant.clamp_min(EPS * EPS).sqrt()
        self.t = (self.rr + self.ii + 2 * self.s).sqrt()
        self.k = 1 / (self.s * self.t)
        self.matrix = _symmetric(
            (self.ii + self.s) * self.k, -self.ri * self.k, (self.rr + self.s) * self.k
        )

    def backward(self, g_rr: Tensor, g_ri: Tensor, g_ii: Tensor) -> Tensor:
        """Gradient (3, B, C) for the covariance from that for the rr, ri, ii of V^-1/2."""
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


def _pooled(stats: Tensor) -> Tensor:
    """Statistics (5, B, 1) of all channels as one."""
    centre = stats[:2].mean(dim=2, keepdim=True)
    spread = (stats[2:] + _squares(stats[:2] - centre)).mean(dim=2, keepdim=True)
    return torch.cat([centre, spread])


def _squares(of: Tensor) -> Tensor:
    """rr, ri, ii of (r, i)."""
    return torch.stack([of[0] * of[0], of[0] * of[1], of[1] * of[1]])


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


def _about(rows: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    real, imag = parts(rows)
    return real - shift[0].unsqueeze(1), imag - shift[1].unsqueeze(1)


def _before_relu(
    rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, relu: bool
) -> tuple[Tensor, Tensor]:
    grad_r, grad_i = parts(grad)
    if relu:
        out_r, out_i = affine(rows, matrix, offset)
        grad_r, grad_i = torch.where(out_r > 0, grad_r, 0), torch.where(out_i > 0, grad_i, 0)
    return grad_r, grad_i


def _back_to_rows(into_v: Tensor, into_mean: Tensor, mean: Tensor) -> Tensor:
    """Coefficients (5, B, C) of the part of the rows' gradient that comes through statistics."""
    rr, ri, ii = 2 * into_v[0], into_v[1], 2 * into_v[2]
    constant = into_mean - _matvec(_symmetric(rr, ri, ii), mean)
    return torch.stack([rr, ri, ii, *constant])
