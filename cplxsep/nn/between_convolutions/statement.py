"""The functions between convolutions in plain PyTorch; the oracle of their other form."""

import torch
import torch.nn.functional as F
from torch import Tensor

from cplxsep.nn.between_convolutions.interface import Head, NormWeights
from cplxsep.nn.complex_norm.statement import PlainNorm, affine, coefficients, parts, wide

_NORM = PlainNorm()


class PlainBetween:
    """As `interface.Between`, on any device and in any type."""

    three_products = False

    def statistics(self, maps: Tensor) -> Tensor:
        rows = maps.flatten(1, 2)
        # In two passes: squares about another point than the mean would lose the variance.
        mean = torch.stack([part.mean(dim=1) for part in parts(rows)])
        return torch.cat([mean, _NORM.moments(rows, mean)[2:]])

    def add(self, maps: Tensor, more: Tensor) -> Tensor:
        maps.add_(more if more.shape == maps.shape else _from_products(more))
        return self.statistics(maps)

    def from_products(self, products: Tensor) -> tuple[Tensor, Tensor]:
        maps = _from_products(products)
        return maps, self.statistics(maps)

    def normalise(
        self, maps: Tensor, stats: Tensor, norm: NormWeights, stride: int, three: bool
    ) -> Tensor:
        both = affine(maps[:, ::stride, ::stride], *coefficients(stats, *norm))
        return _rectified(*both, three).to(maps.dtype)

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
        matrix, offset = coefficients(torch.cat(stats, dim=2), *norm)
        split = [skip.shape[3] // 2, maps.shape[3] // 2]
        sides = zip(
            (skip, _upsampled(maps)), matrix.split(split, 2), offset.split(split, 2), strict=True
        )
        (skip_r, skip_i), (maps_r, maps_i) = (affine(*side) for side in sides)
        real, imag = torch.cat([skip_r, maps_r], dim=3), torch.cat([skip_i, maps_i], dim=3)
        return _rectified(real, imag, three).to(skip.dtype)

    def shuffle(self, maps: Tensor, patch: int) -> Tensor:
        shuffled = F.pixel_shuffle(maps.permute(0, 3, 1, 2), patch)
        return shuffled.permute(0, 2, 3, 1).contiguous()

    def candidates(self, film: Tensor, mixture: Tensor, features: Tensor, head: Head) -> Tensor:
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
        count = head.sources * (head.transformations + 1)
        mask_r, mask_i = parts(masks)
        own_r, own_i = (part[..., :count] for part in parts(seen))
        products = (mask_r * own_r - mask_i * own_i, mask_r * own_i + mask_i * own_r)
        means = [p.unflatten(3, (head.sources, -1)).mean(dim=4) for p in products]
        return torch.cat(means, dim=3).permute(0, 3, 1, 2).contiguous()


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
