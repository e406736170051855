"""From U-Net maps and the mixture to one spectrogram for each source."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.config import ExtractorConfig
from cplxsep.config.choices import FilmOffset, Mask
from cplxsep.networks.blocks import Algebra, ComplexAlgebra, Residual, stage
from cplxsep.nn import pairs
from cplxsep.nn.conv import ComplexConv2d

_OFFSETS: dict[FilmOffset, tuple[int, int]] = {"0": (0, 0), "1": (1, 0), "1+1i": (1, 1)}


def bounded(masks: Tensor) -> Tensor:
    """Complex masks (B, 2C, F, T) with modulus tanh|m| and their own phase (DCUNet, eq. 4 to 6)."""
    real, imag = pairs.split(masks.to(torch.promote_types(masks.dtype, torch.float32)))
    modulus = (real.square() + imag.square() + 1e-12).sqrt()
    scale = (modulus.tanh() / modulus).to(masks.dtype)
    return masks * torch.cat([scale, scale], dim=1)


class MaskHead(nn.Module):
    """The baseline: one complex mask for each source (SPEC section 3, C = 0).

    Args:
        algebra: that of the U-Net; a real one gives 2N real maps, read as N complex masks.
        in_maps: U-Net output channels.
        sources: N.
        residual_blocks: k of the paper.
        mask: unbounded as in the paper, or polar, bounded by tanh (`bounded`).
    """

    def __init__(
        self,
        algebra: Algebra,
        in_maps: int,
        sources: int,
        residual_blocks: int,
        mask: Mask = "unbounded",
    ) -> None:
        super().__init__()
        self.mask = mask
        out_maps = sources if isinstance(algebra, ComplexAlgebra) else 2 * sources
        self.masks = stage(algebra, in_maps, out_maps, residual_blocks)

    def forward(self, features: Tensor, mixture: Tensor) -> Tensor:
        """Sources (B, 2N, F, T) from features and the mixture's spectrogram (B, 2, F, T)."""
        masks = self.masks(features)
        if self.mask == "polar":
            masks = bounded(masks)
        # So few maps are multiplied several times faster one after another.
        wide = torch.promote_types(masks.dtype, mixture.dtype)
        masks = masks.to(wide, memory_format=torch.contiguous_format)
        return pairs.product(masks, mixture.contiguous())


class Extractor(nn.Module):
    """FiLM-transformed mixtures, a mask for each, and their average (paper section 6, alg. 1).

    By default details follow the published code (SPEC section 4): the FiLM scale is 1+1i plus
    what the network adds; the untouched mixture is the first of each source's C+1 candidates; the
    mask network sees the candidates of all sources and the U-Net output, and is linear at its
    end. Other readings of the paper are options (SPEC section 7).

    Args:
        algebra: of the residual blocks.
        in_maps: complex channels of the U-Net output.
        sources: N.
        options: of the extractor; at least one transformation, its C.
        mask: unbounded as in the paper, or polar, bounded by tanh (`bounded`).

    At evaluation what dropout may remove is multiplied by 1 - dropout; the untouched mixture is
    never dropped.
    """

    def __init__(
        self,
        algebra: ComplexAlgebra,
        in_maps: int,
        sources: int,
        options: ExtractorConfig,
        mask: Mask = "unbounded",
    ) -> None:
        super().__init__()
        self.mask = mask
        self.sources = sources
        self.transformations = transformations = options.transformations
        self.dropout = options.dropout
        self.dropout_of = options.dropout_of
        self.offset = _OFFSETS[options.film_offset]
        self.mixture_candidate = options.mixture_candidate
        self.each = transformations + options.mixture_candidate  # candidates of each source
        candidates = sources * self.each
        unet = algebra.options
        kind: dict[str, Any] = {"bias": True, "init": options.init, "criterion": unet.criterion}
        blocks = algebra
        if options.init_of == "all":
            blocks = ComplexAlgebra(unet.model_copy(update={"init": options.init}))
        self.film = ComplexConv2d(in_maps, 2 * sources * transformations, **kind)
        self.masks = nn.Sequential(
            ComplexConv2d(candidates + in_maps, candidates, **kind),
            Residual(blocks, candidates),
            Residual(blocks, candidates),
        )
        with torch.no_grad():
            for conv in self.modules():
                if isinstance(conv, ComplexConv2d):
                    conv.weight_real.mul_(options.gain)
                    conv.weight_imag.mul_(options.gain)
        self.combiner = (
            algebra.conv(candidates, sources, 3) if options.combine == "learned" else None
        )

    def forward(self, features: Tensor, mixture: Tensor) -> Tensor:
        """Sources (B, 2N, F, T) from features and the mixture's spectrogram (B, 2, F, T)."""
        keep = self._keep(mixture)
        candidates = self._candidates(features, mixture, keep)
        seen = pairs.concatenate(candidates, features)
        masks = self.masks(seen.contiguous(memory_format=torch.channels_last))
        if self.mask == "polar":
            masks = bounded(masks)
        products = pairs.product(masks, candidates)
        if keep is not None and self.dropout_of == "mask":
            products = products * self._with_mixture_kept(keep)
        if self.combiner is not None:
            return self.combiner(products)
        grouped = products.unflatten(1, (2 * self.sources, self.each))
        return grouped.mean(dim=2)

    def _candidates(self, features: Tensor, mixture: Tensor, keep: Tensor | None) -> Tensor:
        """The mixture and its C transformations for each source in turn: N(C+1) channels."""
        transformed = self.sources * self.transformations
        gamma_r, beta_r, gamma_i, beta_i = self.film(features).split(transformed, dim=1)
        gamma = pairs.join(gamma_r + self.offset[0], gamma_i + self.offset[1])
        scaled = pairs.product(gamma, mixture)
        if keep is not None and self.dropout_of == "mixture":
            scaled = scaled * keep
        shifted = scaled + pairs.join(beta_r, beta_i)
        if keep is not None and self.dropout_of == "transformation":
            shifted = shifted * keep
        if not self.mixture_candidate:
            return shifted

        def with_mixture(part: Tensor, mixture_part: Tensor) -> Tensor:
            grouped = part.unflatten(1, (self.sources, self.transformations))
            copies = mixture_part.unsqueeze(1).expand(-1, self.sources, -1, -1, -1)
            return torch.cat([copies, grouped], dim=2).flatten(1, 2)

        real, imag = pairs.split(shifted)
        mixture_r, mixture_i = pairs.split(mixture)
        return pairs.join(with_mixture(real, mixture_r), with_mixture(imag, mixture_i))

    def _keep(self, like: Tensor) -> Tensor | None:
        """Factors (1, 2NC, 1, 1) that dropout gives the transformations; None without dropout."""
        if not self.dropout:
            return None
        count = self.sources * self.transformations
        if self.training:
            keep = (torch.rand(count, device=like.device) >= self.dropout).to(like.dtype)
        else:
            keep = like.new_full((count,), 1 - self.dropout)
        return keep.repeat(2).view(1, -1, 1, 1)

    def _with_mixture_kept(self, keep: Tensor) -> Tensor:
        """Factors of all candidates, from those of the transformations."""
        if not self.mixture_candidate:
            return keep
        grouped = keep.view(2 * self.sources, self.transformations)
        return F.pad(grouped, (1, 0), value=1.0).view(1, -1, 1, 1)
