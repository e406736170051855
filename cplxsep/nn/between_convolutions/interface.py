"""What the functions between convolutions are given and give.

Maps are (B, H, W, 2C), contiguous, real halves first; H and W stand for F and T. Statistics are
(5, B, C), at least float32: the means of r and i and the covariance rr, ri, ii of each channel.

A complex convolution takes four real products, or three: of s = r + i with the kernel's real part,
r with imaginary less real, i with real plus imaginary part, which give u, v, w, and so r = u - w
and i = u + v. For that, s, r, i or u, v, w are the channels of one tensor (B, H, W, 3C).
"""

from typing import NamedTuple, Protocol

from torch import Tensor


class NormWeights(NamedTuple):
    """Parameters of a complex layer norm: gain (3, C), bias (2, C), scope "layer" or not."""

    gain: Tensor
    bias: Tensor
    layer: bool


class Head(NamedTuple):
    """Sources N and transformations K of an extractor; it has N(K+1) candidates."""

    sources: int
    transformations: int


class Between(Protocol):
    """One form of the functions."""

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
