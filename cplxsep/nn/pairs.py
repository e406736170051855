"""Complex maps as pairs of real tensors.

A map with C complex channels is a real tensor (B, 2C, F, T): the C real parts first, then the C
imaginary parts. bfloat16, autocast and every PyTorch CPU operator work on such tensors; they do
not on complex64 (see DESIGN: measured several times faster than native complex convolution).
"""

import torch
from torch import Tensor


def split(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Real and imaginary parts of (B, 2C, F, T), each a view (B, C, F, T)."""
    real, imag = maps.chunk(2, dim=1)
    return real, imag


def join(real: Tensor, imag: Tensor) -> Tensor:
    """Maps (B, 2C, F, T) from their parts, each (B, C, F, T)."""
    return torch.cat([real, imag], dim=1)


def to_complex(maps: Tensor) -> Tensor:
    """Native complex tensor (B, C, F, T) with the values of (B, 2C, F, T)."""
    return torch.complex(*split(maps))


def from_complex(values: Tensor) -> Tensor:
    """Maps (B, 2C, F, T) with the values of a native complex tensor (B, C, F, T)."""
    return join(values.real, values.imag)


def concatenate(*maps: Tensor) -> Tensor:
    """Concatenate complex channels; keeps all real parts before all imaginary parts."""
    parts = [split(m) for m in maps]
    return torch.cat([real for real, _ in parts] + [imag for _, imag in parts], dim=1)


def product(a: Tensor, b: Tensor) -> Tensor:
    """Complex product of (B, 2C, F, T) and (B, 2C or 2, F, T), channel by channel.

    Applying a complex mask to a spectrogram is this product; a single-channel factor is
    broadcast over the other's channels.
    """
    ar, ai = split(a)
    br, bi = split(b)
    return join(ar * br - ai * bi, ar * bi + ai * br)
