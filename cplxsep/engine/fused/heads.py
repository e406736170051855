"""Inference forms of the heads."""

import torch
from torch import Tensor, nn

from cplxsep.engine.fused.layers import FixedConv, Maps, fixed, fused_steps, steps_have_forms
from cplxsep.engine.fused.registry import ModuleForm, form_of
from cplxsep.networks.heads import Extractor, MaskHead, bounded
from cplxsep.nn import pairs
from cplxsep.nn.between_convolutions import Between, Head
from cplxsep.nn.conv import ComplexConv2d, stacked_kernel


@form_of(MaskHead, "masks")
class FusedMaskHead(ModuleForm):
    """As `MaskHead`: sources (B, 2N, F, T) from features and the mixture (B, 2, F, T)."""

    @staticmethod
    def takes(head: MaskHead) -> bool:
        return steps_have_forms(head.masks)

    def __init__(self, head: MaskHead, dtype: torch.dtype, between: Between) -> None:
        super().__init__()
        self.steps = fused_steps(head.masks, dtype, between)
        self.polar = head.mask == "polar"

    def forward(self, features: Maps, mixture: Tensor) -> Tensor:
        for step in self.steps:
            features = step(features)
        masks = features.rows.permute(0, 3, 1, 2).to(mixture.dtype)
        return pairs.product(bounded(masks) if self.polar else masks, mixture)


@form_of(Extractor, "film", "masks")
class FusedExtractor(ModuleForm):
    """As `Extractor`: sources (B, 2N, F, T) from features and the mixture (B, 2, F, T)."""

    @staticmethod
    def takes(head: Extractor) -> bool:
        dropped = head.dropout_of == "mixture"
        return head.mixture_candidate and dropped and steps_have_forms(head.masks[1:])

    def __init__(self, head: Extractor, dtype: torch.dtype, between: Between) -> None:
        super().__init__()
        self.head = Head(head.sources, head.transformations)
        self.polar = head.mask == "polar"
        self.film = _film(head, dtype)
        first, *rest = head.masks
        assert isinstance(first, ComplexConv2d)
        self.first = fixed(first, dtype)
        self.rest = fused_steps(nn.Sequential(*rest), dtype, between)
        self.between = between

    def forward(self, features: Maps, mixture: Tensor) -> Tensor:
        film = self.film(features.rows)
        seen = self.between.candidates(film, mixture, features.rows, self.head)
        masks = Maps(self.first(seen), self.between)
        for step in self.rest:
            masks = step(masks)
        rows = _bounded(masks.rows) if self.polar else masks.rows
        return self.between.average(rows, seen, self.head)


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
