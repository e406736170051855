"""The sweeps over memory that complex layer norm consists of, and which code runs it.

Rows are maps with positions before channels, (B, P, 2C), P = F * T, real halves first.
Coefficients: matrix (4, B, C) and offset (2, B, C) give
out_r = m0 r + m1 i + o0 and out_i = m2 r + m3 i + o1, then optionally the ReLU on each.
"""

from typing import Protocol

import torch
from torch import Tensor


class Passes(Protocol):
    """One implementation of the four sweeps."""

    def moments(self, rows: Tensor, shift: Tensor) -> Tensor:
        """Means (5, B, C) of r, i, r*r, r*i, i*i, with shift (2, B, C) taken off first."""

    def transform(self, rows: Tensor, matrix: Tensor, offset: Tensor, relu: bool) -> Tensor:
        """Output rows of the affine map."""

    def grad_sums(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, shift: Tensor, relu: bool
    ) -> Tensor:
        """Sums (6, B, C) of g_r, g_i, g_r r, g_r i, g_i r, g_i i, g the gradient before ReLU
        and r, i the shifted parts."""

    def grad_input(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, back: Tensor, relu: bool
    ) -> Tensor:
        """Gradient for the rows: matrix^T g + [[b0, b1], [b1, b2]] (r, i) + (b3, b4)."""


class WholeNorm(Protocol):
    """The norm and its gradient in one call each, for rows that fit.

    Statistics (5, B, C) are the mean of r and i and the covariance rr, ri, ii of each channel;
    layer: those of all channels are taken together.
    """

    def fits(self, rows: Tensor) -> bool:
        """Whether this can work on such rows."""

    def statistics(self, rows: Tensor) -> Tensor:
        """Statistics of rows."""

    def forward(
        self, rows: Tensor, gain: Tensor, bias: Tensor, layer: bool, relu: bool
    ) -> tuple[Tensor, Tensor]:
        """Output rows and statistics; gain (3, C), bias (2, C)."""

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
        """Gradients for rows, gain and bias from that for the output."""


class EagerPasses:
    """Plain PyTorch: any device and type; the statement of what the compiled forms compute."""

    def moments(self, rows: Tensor, shift: Tensor) -> Tensor:
        real, imag = _parts(rows)
        real, imag = real - shift[0].unsqueeze(1), imag - shift[1].unsqueeze(1)
        values = (real, imag, real * real, real * imag, imag * imag)
        return torch.stack([value.mean(dim=1) for value in values])

    def transform(self, rows: Tensor, matrix: Tensor, offset: Tensor, relu: bool) -> Tensor:
        out = torch.cat(_affine(rows, matrix, offset), dim=2)
        return (torch.relu(out) if relu else out).to(rows.dtype)

    def grad_sums(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, shift: Tensor, relu: bool
    ) -> Tensor:
        grad_r, grad_i = _before_relu(rows, grad, matrix, offset, relu)
        real, imag = _parts(rows)
        real, imag = real - shift[0].unsqueeze(1), imag - shift[1].unsqueeze(1)
        values = (grad_r, grad_i, grad_r * real, grad_r * imag, grad_i * real, grad_i * imag)
        return torch.stack([value.sum(dim=1) for value in values])

    def grad_input(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, back: Tensor, relu: bool
    ) -> Tensor:
        grad_r, grad_i = _before_relu(rows, grad, matrix, offset, relu)
        real, imag = _parts(rows)
        m, b = matrix.unsqueeze(2), back.unsqueeze(2)
        into_r = m[0] * grad_r + m[2] * grad_i + b[0] * real + b[1] * imag + b[3]
        into_i = m[1] * grad_r + m[3] * grad_i + b[1] * real + b[2] * imag + b[4]
        return torch.cat([into_r, into_i], dim=2).to(rows.dtype)


class CompiledPasses(EagerPasses):
    """The eager passes through torch.compile: for CUDA, where it fuses each into one kernel.

    On a CPU it was measured at half to a fifth of the speed of native sweeps, and takes seconds for
    each new shape.
    """

    def __init__(self) -> None:
        for name in ("moments", "transform", "grad_sums", "grad_input"):
            setattr(self, name, torch.compile(getattr(super(), name), dynamic=None))


_eager = EagerPasses()
_fast: dict[str, Passes] = {}
_whole: dict[str, WholeNorm] = {}


def enable(device: str) -> str | None:
    """Use compiled code on "cpu" or "cuda" from now on.

    Returns why that is not possible here, in one line, or None (see `cplxsep.nn.fast`).
    """
    from cplxsep.nn.native.build import NoCompilerError
    from cplxsep.nn.native.norm import NativeNorm

    if device == "cuda":
        compiled = CompiledPasses()
        try:
            _try_out(compiled, torch.device(device))
        except Exception as error:  # no host compiler, no Triton, an unsupported GPU
            return (str(error).strip() or type(error).__name__).partition("\n")[0][:200]
        _fast[device] = compiled
        return None
    try:
        _whole[device] = NativeNorm()
    except NoCompilerError as error:
        return str(error)
    return None


def _try_out(passes: Passes, device: torch.device) -> None:
    """Run each sweep once on a small map."""
    rows = torch.randn(1, 16, 4, device=device)
    shift, back = torch.zeros(2, 1, 2, device=device), torch.zeros(5, 1, 2, device=device)
    matrix, offset = torch.ones(4, 1, 2, device=device), torch.zeros(2, 1, 2, device=device)
    passes.moments(rows, shift)
    passes.transform(rows, matrix, offset, True)
    passes.grad_sums(rows, rows, matrix, offset, shift, True)
    passes.grad_input(rows, rows, matrix, offset, back, True)


def disable() -> None:
    """Run everything eagerly again."""
    _fast.clear()
    _whole.clear()


def passes_for(rows: Tensor) -> Passes:
    """The fastest enabled passes that can work on these rows."""
    return _fast.get(rows.device.type, _eager)


def whole_for(rows: Tensor) -> WholeNorm | None:
    """The enabled norm in one call that can work on these rows, if there is one."""
    whole = _whole.get(rows.device.type)
    return whole if whole is not None and whole.fits(rows) else None


def _parts(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary rows in at least float32."""
    wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
    real, imag = wide.chunk(2, dim=2)
    return real, imag


def _affine(rows: Tensor, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    real, imag = _parts(rows)
    m, o = matrix.unsqueeze(2), offset.unsqueeze(2)
    return m[0] * real + m[1] * imag + o[0], m[2] * real + m[3] * imag + o[1]


def _before_relu(
    rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, relu: bool
) -> tuple[Tensor, Tensor]:
    grad_r, grad_i = _parts(grad)
    if relu:
        out_r, out_i = _affine(rows, matrix, offset)
        grad_r, grad_i = torch.where(out_r > 0, grad_r, 0), torch.where(out_i > 0, grad_i, 0)
    return grad_r, grad_i
