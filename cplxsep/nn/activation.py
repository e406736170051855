"""Activations of complex maps (B, 2C, F, T), real halves first.

CReLU is the network's default and lives in the norm's own pass (`cplxsep.nn.complex_norm`); these
modules serve everywhere else. Gradients are those of the real and imaginary parts, as
autograd gives them, and 0 or finite at the origin.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cplxsep.config.choices import Activation
from cplxsep.nn import pairs
from cplxsep.nn.clipping import Clip, first_quadrant

# Moduli below are taken for 0, where phase has no meaning; bounds the gradient of z / |z|.
_ORIGIN = 1e-6


class CReLU(nn.Module):
    """ReLU of both parts (Trabelsi et al. 2017, eq. 9)."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.relu(maps)


class ZReLU(nn.Module):
    """z where both parts are positive, else 0 (Guberman 2016; Trabelsi et al. 2017, eq. 10).

    It jumps at the axes, so that a deep network of it passes rounding on enlarged: its output in
    bfloat16 can be far from that in float32.
    """

    def forward(self, maps: Tensor) -> Tensor:
        return first_quadrant(maps)


class ModReLU(nn.Module):
    """relu(|z| + b) z/|z| with a learned real b for each channel (Arjovsky et al. 2016, eq. 8).

    Keeps the phase: turning the input turns the output. 0 stays 0 for every b.

    Args:
        maps: complex channels C.
        bias: first value of b. At 0 the network would start without any non-linearity but its
            norms; below 0, moduli under -b become 0.
    """

    def __init__(self, maps: int, bias: float = -0.1) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.full((maps,), bias))

    def forward(self, maps: Tensor) -> Tensor:
        modulus, origin = _modulus(maps)
        scale = torch.relu(modulus + self.bias[:, None, None]) / modulus
        return _scaled(maps, scale.masked_fill(origin, 0))


class Cardioid(nn.Module):
    """(1 + cos arg z)/2 z (Virtue et al. 2017): the ReLU on real numbers, smooth in the phase."""

    def forward(self, maps: Tensor) -> Tensor:
        modulus, origin = _modulus(maps)
        cosine = pairs.split(maps)[0] / modulus
        return _scaled(maps, (1 + cosine.masked_fill(origin, 0)) / 2)


ACTIVATIONS: dict[Activation, Callable[[int], nn.Module]] = {
    "crelu": lambda _: CReLU(),
    "zrelu": lambda _: ZReLU(),
    "modrelu": ModReLU,
    "cardioid": lambda _: Cardioid(),
    "clip-modulus": lambda _: Clip("clip-modulus"),
    "clip-quadrant": lambda _: Clip("clip-quadrant"),
}


def _modulus(maps: Tensor) -> tuple[Tensor, Tensor]:
    """|z| (B, C, F, T), at least float32 and 1 at the origin, and where the origin is."""
    real, imag = pairs.split(maps.to(torch.promote_types(maps.dtype, torch.float32)))
    square = real.square() + imag.square()
    origin = square < _ORIGIN**2
    return square.masked_fill(origin, 1).sqrt(), origin


def _scaled(maps: Tensor, scale: Tensor) -> Tensor:
    """Maps with each complex value multiplied by a real one."""
    return maps * torch.cat([scale, scale], dim=1).to(maps.dtype)
