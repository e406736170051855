"""Inference forms of the heads."""

import torch
from torch import Tensor, nn

from cplxsep.engine.fused.layers import FixedConv, Maps, fixed, fused_steps
from cplxsep.networks.heads import Extractor, MaskHead, bounded
from cplxsep.nn import pairs
from cplxsep.nn.between_convolutions import Between, Head
from cplxsep.nn.conv import ComplexConv2d, stacked_kernel


def head_form(head: nn.Module, dtype: torch.dtype, kernels: Between) -> nn.Module:
    """Inference form of a head."""
    if isinstance(head, MaskHead):
        return FusedMaskHead(head, dtype, kernels)
    assert isinstance(head, Extractor)
    return FusedExtractor(head, dtype, kernels)


class FusedMaskHead(nn.Module):
    """As `MaskHead`: sources (B, 2N, F, T) from features and the mixture (B, 2, F, T)."""

    def __init__(self, head: MaskHead, dtype: torch.dtype, kernels: Between) -> None:
        super().__init__()
        self.steps = fused_steps(head.masks, dtype, kernels)
        self.polar = head.mask == "polar"

    def forward(self, features: Maps, mixture: Tensor) -> Tensor:
        for step in self.steps:
            features = step(features)
        masks = features.rows.permute(0, 3, 1, 2).to(mixture.dtype)
        return pairs.product(bounded(masks) if self.polar else masks, mixture)


class FusedExtractor(nn.Module):
    """As `Extractor`: sources (B, 2N, F, T) from features and the mixture (B, 2, F, T)."""

    def __init__(self, head: Extractor, dtype: torch.dtype, kernels: Between) -> None:
        super().__init__()
        self.head = Head(head.sources, head.transformations)
        self.polar = head.mask == "polar"
        self.film = _film(head, dtype)
        first, *rest = head.masks
        assert isinstance(first, ComplexConv2d)
        self.first = fixed(first, dtype)
        self.rest = fused_steps(nn.Sequential(*rest), dtype, kernels)
        self.kernels = kernels

    def forward(self, features: Maps, mixture: Tensor) -> Tensor:
        film = self.film(features.rows)
        seen = self.kernels.candidates(film, mixture, features.rows, self.head)
        masks = Maps(self.first(seen), self.kernels)
        for step in self.rest:
            masks = step(masks)
        rows = _bounded(masks.rows) if self.polar else masks.rows
        return self.kernels.average(rows, seen, self.head)


def _film(head: Extractor, dtype: torch.dtype) -> FixedConv:
    """The FiLM convolution with the offset of its scale and the share that dropout keeps."""
    conv, count = head.film, head.sources * head.transformations
    kernel = stacked_kernel(conv.weight_real, conv.weight_imag).detach().clone()
    assert conv.bias is not None
    bias = conv.bias.detach().clone()
    # It gives scale re, shift re, scale im, shift im.
    for start, offset in zip((0, 2 * count), head.offset, strict=True):
        scale = slice(start, start + count)
        bias[scale] += offset
        bias[scale] *= 1 - head.dropout
        kernel[scale] *= 1 - head.dropout
    return FixedConv(kernel, bias, dtype)


def _bounded(rows: Tensor) -> Tensor:
    return bounded(rows.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()
