"""The functions between convolutions in plain PyTorch; the oracle of their other form.

Maps are (B, H, W, 2C), contiguous, real halves first; H and W stand for F and T. Statistics are
(5, B, C), at least float32: the means of r and i and the covariance rr, ri, ii of each channel.

A complex convolution takes four real products, or three: of s = r + i with the kernel's real part,
r with imaginary less real, i with real plus imaginary part, which give u, v, w, and so r = u - w
and i = u + v. For that, s, r, i or u, v, w are the channels of one tensor (B, H, W, 3C).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cplxsep.nn.complex_norm.statement import PlainNorm, affine, coefficients, parts, wide

_NORM = PlainNorm()


class NormWeights(NamedTuple):
    """Parameters of a complex layer norm: gain (3, C), bias (2, C), scope "layer" or not."""

    gain: Tensor
    bias: Tensor
    layer: bool


class Head(NamedTuple):
    """Sources N and transformations K of an extractor; it has N(K+1) candidates."""

    sources: int
    transformations: int


class Between:
    """The functions, on any device and in any type."""

    three_products = False
    """Whether convolutions are faster with three products: the sums must cost little."""

    def statistics(self, maps: Tensor) -> Tensor:
        """Statistics of maps."""
        rows = maps.flatten(1, 2)
        # In two passes: squares about another point than the mean would lose the variance.
        mean = torch.stack([part.mean(dim=1) for part in parts(rows)])
        return torch.cat([mean, _NORM.moments(rows, mean)[2:]])

    def add(self, maps: Tensor, more: Tensor) -> Tensor:
        """Statistics of maps + more, maps or products; the sum is left in `maps`."""
        maps.add_(more if more.shape == maps.shape else _from_products(more))
        return self.statistics(maps)

    def from_products(self, products: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, H, W, 2C) of products (B, H, W, 3C), and their statistics."""
        maps = _from_products(products)
        return maps, self.statistics(maps)

    def normalise(
        self, maps: Tensor, stats: Tensor, norm: NormWeights, stride: int, three: bool
    ) -> Tensor:
        """Norm and CReLU of every stride-th position along H and W; `three`: as s, r, i."""
        both = affine(maps[:, ::stride, ::stride], *coefficients(stats, *norm))
        return _rectified(*both, three).to(maps.dtype)

    def upsampled_statistics(self, maps: Tensor) -> Tensor:
        """Statistics of maps interpolated to twice the size (bilinear, corners aligned)."""
        return self.statistics(_upsampled(maps))

    def normalise_joined(
        self,
        skip: Tensor,
        maps: Tensor,
        stats: tuple[Tensor, Tensor],
        norm: NormWeights,
        three: bool,
    ) -> Tensor:
        """Norm and CReLU of `skip` (B, 2H, 2W, 2A) joined with interpolated maps."""
        own, other = coefficients_of_both(stats, norm)
        (skip_r, skip_i), (maps_r, maps_i) = affine(skip, *own), affine(_upsampled(maps), *other)
        real, imag = torch.cat([skip_r, maps_r], dim=3), torch.cat([skip_i, maps_i], dim=3)
        return _rectified(real, imag, three).to(skip.dtype)

    def shuffle(self, maps: Tensor, patch: int) -> Tensor:
        """Maps (B, patch*H, patch*W, 2C) of (B, H, W, 2C * patch * patch): pixel shuffle."""
        shuffled = F.pixel_shuffle(maps.permute(0, 3, 1, 2), patch)
        return shuffled.permute(0, 2, 3, 1).contiguous()

    def candidates(self, film: Tensor, mixture: Tensor, features: Tensor, head: Head) -> Tensor:
        """Candidates joined with the features (B, H, W, 2C), from the mixture (B, 2, H, W).

        film (B, H, W, 4NK) holds scale re, shift re, scale im, shift im of all transformations.
        """
        groups = wide(film).unflatten(3, (4, head.sources, head.transformations))
        scale_r, shift_r, scale_i, shift_i = groups.unbind(3)
        mix_r, mix_i = (part[..., None, None] for part in mixture.unbind(1))

        def with_mixture(part: Tensor, mix: Tensor) -> Tensor:
            mix = mix.expand(*part.shape[:-1], 1)
            return torch.cat([mix, part], dim=4).flatten(3).to(film.dtype)

        real = with_mixture(scale_r * mix_r - scale_i * mix_i + shift_r, mix_r)
        imag = with_mixture(scale_r * mix_i + scale_i * mix_r + shift_i, mix_i)
        own_r, own_i = features.chunk(2, dim=3)
        return torch.cat([real, own_r, imag, own_i], dim=3)

    def average(self, masks: Tensor, seen: Tensor, head: Head) -> Tensor:
        """Mean over each source's candidates of mask times candidate, float32 (B, 2N, H, W).

        seen: as from `candidates`.
        """
        count = head.sources * (head.transformations + 1)
        mask_r, mask_i = parts(masks)
        own_r, own_i = (part[..., :count] for part in parts(seen))
        products = (mask_r * own_r - mask_i * own_i, mask_r * own_i + mask_i * own_r)
        means = [p.unflatten(3, (head.sources, -1)).mean(dim=4) for p in products]
        return torch.cat(means, dim=3).permute(0, 3, 1, 2).contiguous()


def coefficients_of_both(
    stats: tuple[Tensor, Tensor], norm: NormWeights
) -> list[tuple[Tensor, Tensor]]:
    """Matrix and offset for each of two maps that are joined, from the statistics of each."""
    channels = [part.shape[2] for part in stats]
    matrix, offset = coefficients(torch.cat(stats, dim=2), *norm)
    return list(zip(matrix.split(channels, 2), offset.split(channels, 2), strict=True))


def _rectified(real: Tensor, imag: Tensor, three: bool) -> Tensor:
    real, imag = real.relu(), imag.relu()
    return torch.cat([real + imag, real, imag] if three else [real, imag], dim=3)


def _from_products(products: Tensor) -> Tensor:
    u, v, w = wide(products).chunk(3, dim=3)
    return torch.cat([u - w, u + v], dim=3).to(products.dtype)


def _upsampled(maps: Tensor) -> Tensor:
    large = F.interpolate(
        wide(maps).permute(0, 3, 1, 2), scale_factor=2, mode="bilinear", align_corners=True
    )
    return large.permute(0, 2, 3, 1)
