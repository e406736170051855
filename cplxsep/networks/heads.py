"""From U-Net maps and the mixture to one spectrogram for each source."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from cplxsep.networks.blocks import Algebra, ComplexAlgebra, Residual, stage
from cplxsep.nn import pairs
from cplxsep.nn.conv import ComplexConv2d
from cplxsep.nn.init import Init

Mask = Literal["unbounded", "polar"]


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
        return pairs.product(bounded(masks) if self.mask == "polar" else masks, mixture)


class Extractor(nn.Module):
    """FiLM-transformed mixtures, a mask for each, and their average (paper section 6, alg. 1).

    Details follow the published code (SPEC section 4): the FiLM scale is 1+1i plus what the
    network adds; the untouched mixture is the first of each source's C+1 candidates; the mask
    network sees the candidates of all sources and the U-Net output, and is linear at its end.

    Args:
        algebra: of the residual blocks.
        in_maps: complex channels of the U-Net output.
        sources: N.
        transformations: C, at least 1.
        dropout: probability that a transformed mixture loses its mixture term in training, drawn
            for each (source, transformation) and shared by the batch; at evaluation the term is
            multiplied by 1 - dropout.
        init: of the FiLM and the first mask convolution.
        gain: factor on all initial kernels here. Features are not normalised, so at 1 the
            first outputs are far louder than the mixture (SPEC section 4); 0.1 starts closer.
        mask: unbounded as in the paper, or polar, bounded by tanh (`bounded`).
    """

    def __init__(
        self,
        algebra: ComplexAlgebra,
        in_maps: int,
        sources: int,
        transformations: int,
        *,
        dropout: float = 0.0,
        init: Init = "unitary",
        gain: float = 1.0,
        mask: Mask = "unbounded",
    ) -> None:
        super().__init__()
        self.mask = mask
        self.sources = sources
        self.transformations = transformations
        self.dropout = dropout
        candidates = sources * (transformations + 1)
        kind: dict[str, Any] = {"bias": True, "init": init, "criterion": algebra.criterion}
        self.film = ComplexConv2d(in_maps, 2 * sources * transformations, **kind)
        self.masks = nn.Sequential(
            ComplexConv2d(candidates + in_maps, candidates, **kind),
            Residual(algebra, candidates),
            Residual(algebra, candidates),
        )
        with torch.no_grad():
            for conv in self.modules():
                if isinstance(conv, ComplexConv2d):
                    conv.weight_real.mul_(gain)
                    conv.weight_imag.mul_(gain)

    def forward(self, features: Tensor, mixture: Tensor) -> Tensor:
        """Sources (B, 2N, F, T) from features and the mixture's spectrogram (B, 2, F, T)."""
        candidates = self._candidates(features, mixture)
        seen = pairs.concatenate(candidates, features)
        masks = self.masks(seen.contiguous(memory_format=torch.channels_last))
        if self.mask == "polar":
            masks = bounded(masks)
        products = pairs.product(masks, candidates)
        grouped = products.unflatten(1, (2 * self.sources, self.transformations + 1))
        return grouped.mean(dim=2)

    def _candidates(self, features: Tensor, mixture: Tensor) -> Tensor:
        """The mixture and its C transformations for each source in turn: N(C+1) channels."""
        transformed = self.sources * self.transformations
        gamma_r, beta_r, gamma_i, beta_i = self.film(features).split(transformed, dim=1)
        gamma = pairs.join(gamma_r + 1, gamma_i + 1)
        scaled = pairs.product(gamma, mixture)
        if self.dropout > 0:
            scaled = scaled * self._keep(scaled)
        shifted = scaled + pairs.join(beta_r, beta_i)

        def with_mixture(part: Tensor, mixture_part: Tensor) -> Tensor:
            grouped = part.unflatten(1, (self.sources, self.transformations))
            copies = mixture_part.unsqueeze(1).expand(-1, self.sources, -1, -1, -1)
            return torch.cat([copies, grouped], dim=2).flatten(1, 2)

        real, imag = pairs.split(shifted)
        mixture_r, mixture_i = pairs.split(mixture)
        return pairs.join(with_mixture(real, mixture_r), with_mixture(imag, mixture_i))

    def _keep(self, scaled: Tensor) -> Tensor | float:
        if not self.training:
            return 1 - self.dropout
        drawn = torch.rand(self.sources * self.transformations, device=scaled.device)
        keep = (drawn >= self.dropout).to(scaled.dtype)
        return keep.repeat(2).view(1, -1, 1, 1)
