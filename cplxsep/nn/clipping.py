"""Clipping of complex maps (B, 2C, F, T): ReLU carried over to the STFT.

Inspired by the abstract of Atlas, Rasmussen, Schwock and Pilanci, "Complex Clipping for Improved
Generalization in Machine Learning" (arXiv 2302.13527). Its formula is not known here, so these
are candidates and not that paper's method. What they keep depends on the phase reference of the
STFT: of values with uniform phase, a quarter (modulus, parts) or three quarters (quadrant)
become 0.
"""

import torch
from torch import Tensor, nn

from cplxsep.config.choices import Clipping
from cplxsep.nn import pairs


class Clip(nn.Module):
    """A rectified form of complex values, of the same shape.

    Args:
        mode: "clip-modulus", sqrt(relu(Re)^2 + relu(Im)^2), as the real part of maps without an
            imaginary one; "clip-quadrant", the modulus of values with both parts positive, 0 for
            others; "clip-parts", relu(Re) + i relu(Im), which as an activation is CReLU.
    """

    def __init__(self, mode: Clipping) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, maps: Tensor) -> Tensor:
        kept = first_quadrant(maps) if self.mode == "clip-quadrant" else torch.relu(maps)
        if self.mode == "clip-parts":
            return kept
        real, imag = pairs.split(kept.to(torch.promote_types(kept.dtype, torch.float32)))
        square = real.square() + imag.square()
        # The root's slope at 0 is infinite; the gradient of |z| there is taken for 0.
        clipped = square == 0
        modulus = square.masked_fill(clipped, 1).sqrt().masked_fill(clipped, 0).to(maps.dtype)
        return pairs.join(modulus, torch.zeros_like(modulus))


def first_quadrant(maps: Tensor) -> Tensor:
    """The values whose real and imaginary part are positive, 0 in place of the others."""
    real, imag = pairs.split(maps)
    outside = (real <= 0) | (imag <= 0)
    return maps.masked_fill(torch.cat([outside, outside], dim=1), 0)
