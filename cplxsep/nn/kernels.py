"""What the inference form of a network does between its convolutions, and which code does it.

Maps are (B, H, W, 2C), contiguous, real halves first; H and W stand for F and T. Statistics are
(5, B, C), at least float32: the means of r and i and the covariance rr, ri, ii of each channel.

A complex convolution takes four real products, or three: of s = r + i with the kernel's real part,
r with imaginary less real, i with real plus imaginary part, which give u, v, w, and so r = u - w
and i = u + v. For that, s, r, i or u, v, w are the channels of one tensor (B, H, W, 3C).
"""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from cplxsep.nn.norm import whitening_matrix


class NormWeights(NamedTuple):
    """Parameters of a complex layer norm: gain (3, C), bias (2, C), scope "layer" or not."""

    gain: Tensor
    bias: Tensor
    layer: bool


class Head(NamedTuple):
    """Sources N and transformations K of an extractor; it has N(K+1) candidates."""

    sources: int
    transformations: int


class Kernels(Protocol):
    """One implementation of the inference functions."""

    three_products: bool
    """Whether convolutions are faster with three products: the sums must cost little."""

    def statistics(self, maps: Tensor) -> Tensor:
        """Statistics of maps."""

    def add(self, maps: Tensor, more: Tensor) -> Tensor:
        """Statistics of maps + more, maps or products; the sum is left in `maps`."""

    def from_products(self, products: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, H, W, 2C) of products (B, H, W, 3C), and their statistics."""

    def normalise(
        self, maps: Tensor, stats: Tensor, norm: NormWeights, stride: int, three: bool
    ) -> Tensor:
        """Norm and CReLU of every stride-th position along H and W; `three`: as s, r, i."""

    def upsampled_statistics(self, maps: Tensor) -> Tensor:
        """Statistics of maps interpolated to twice the size (bilinear, corners aligned)."""

    def normalise_joined(
        self,
        skip: Tensor,
        maps: Tensor,
        stats: tuple[Tensor, Tensor],
        norm: NormWeights,
        three: bool,
    ) -> Tensor:
        """Norm and CReLU of `skip` (B, 2H, 2W, 2A) joined with interpolated maps."""

    def shuffle(self, maps: Tensor, patch: int) -> Tensor:
        """Maps (B, patch*H, patch*W, 2C) of (B, H, W, 2C * patch * patch): pixel shuffle."""

    def candidates(self, film: Tensor, mixture: Tensor, features: Tensor, head: Head) -> Tensor:
        """Candidates joined with the features (B, H, W, 2C), from the mixture (B, 2, H, W).

        film (B, H, W, 4NK) holds scale re, shift re, scale im, shift im of all transformations.
        """

    def average(self, masks: Tensor, seen: Tensor, head: Head) -> Tensor:
        """Mean over each source's candidates of mask times candidate, float32 (B, 2N, H, W).

        seen: as from `candidates`.
        """


class EagerKernels:
    """Plain PyTorch: any device and type; the statement of what the compiled forms compute."""

    three_products = False

    def statistics(self, maps: Tensor) -> Tensor:
        real, imag = _wide(maps).flatten(1, 2).chunk(2, dim=2)
        means = torch.stack([real.mean(dim=1), imag.mean(dim=1)])
        real, imag = real - means[0].unsqueeze(1), imag - means[1].unsqueeze(1)
        products = (real * real, real * imag, imag * imag)
        return torch.cat([means, torch.stack([p.mean(dim=1) for p in products])])

    def add(self, maps: Tensor, more: Tensor) -> Tensor:
        maps.add_(more if more.shape == maps.shape else _from_products(more))
        return self.statistics(maps)

    def from_products(self, products: Tensor) -> tuple[Tensor, Tensor]:
        maps = _from_products(products)
        return maps, self.statistics(maps)

    def normalise(
        self, maps: Tensor, stats: Tensor, norm: NormWeights, stride: int, three: bool
    ) -> Tensor:
        matrix, offset = coefficients(stats, norm)
        parts = _affine(maps[:, ::stride, ::stride], matrix, offset)
        return _rectified(*parts, three).to(maps.dtype)

    def upsampled_statistics(self, maps: Tensor) -> Tensor:
        return self.statistics(_upsampled(maps))

    def normalise_joined(
        self,
        skip: Tensor,
        maps: Tensor,
        stats: tuple[Tensor, Tensor],
        norm: NormWeights,
        three: bool,
    ) -> Tensor:
        matrix, offset = coefficients(torch.cat(stats, dim=2), norm)
        split = [skip.shape[3] // 2, maps.shape[3] // 2]
        sides = zip(
            (skip, _upsampled(maps)), matrix.split(split, 2), offset.split(split, 2), strict=True
        )
        (skip_r, skip_i), (maps_r, maps_i) = (_affine(*side) for side in sides)
        real, imag = torch.cat([skip_r, maps_r], dim=3), torch.cat([skip_i, maps_i], dim=3)
        return _rectified(real, imag, three).to(skip.dtype)

    def shuffle(self, maps: Tensor, patch: int) -> Tensor:
        shuffled = F.pixel_shuffle(maps.permute(0, 3, 1, 2), patch)
        return shuffled.permute(0, 2, 3, 1).contiguous()

    def candidates(self, film: Tensor, mixture: Tensor, features: Tensor, head: Head) -> Tensor:
        groups = _wide(film).unflatten(3, (4, head.sources, head.transformations))
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
        count = head.sources * (head.transformations + 1)
        mask_r, mask_i = _wide(masks).chunk(2, dim=3)
        own_r, own_i = (part[..., :count] for part in _wide(seen).chunk(2, dim=3))
        products = (mask_r * own_r - mask_i * own_i, mask_r * own_i + mask_i * own_r)
        means = [p.unflatten(3, (head.sources, -1)).mean(dim=4) for p in products]
        return torch.cat(means, dim=3).permute(0, 3, 1, 2).contiguous()


def coefficients(stats: Tensor, norm: NormWeights) -> tuple[Tensor, Tensor]:
    """Matrix (4, B, C) and offset (2, B, C) that statistics and a norm's weights amount to."""
    mean, covariance = stats[:2], stats[2:]
    if norm.layer:
        centre = mean.mean(dim=2, keepdim=True)
        far = mean - centre
        spread = torch.stack([far[0] * far[0], far[0] * far[1], far[1] * far[1]])
        covariance = (covariance + spread).mean(dim=2, keepdim=True)
        mean = centre
    matrix = whitening_matrix(covariance, norm.gain)
    shift = torch.stack(
        [matrix[0] * mean[0] + matrix[1] * mean[1], matrix[2] * mean[0] + matrix[3] * mean[1]]
    )
    return matrix, norm.bias.unsqueeze(1) - shift


def _wide(maps: Tensor) -> Tensor:
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _affine(maps: Tensor, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    real, imag = _wide(maps).chunk(2, dim=3)
    m, o = matrix[:, :, None, None], offset[:, :, None, None]
    return m[0] * real + m[1] * imag + o[0], m[2] * real + m[3] * imag + o[1]


def _rectified(real: Tensor, imag: Tensor, three: bool) -> Tensor:
    real, imag = real.relu(), imag.relu()
    return torch.cat([real + imag, real, imag] if three else [real, imag], dim=3)


def _from_products(products: Tensor) -> Tensor:
    u, v, w = _wide(products).chunk(3, dim=3)
    return torch.cat([u - w, u + v], dim=3).to(products.dtype)


def _upsampled(maps: Tensor) -> Tensor:
    large = F.interpolate(
        _wide(maps).permute(0, 3, 1, 2), scale_factor=2, mode="bilinear", align_corners=True
    )
    return large.permute(0, 2, 3, 1)
