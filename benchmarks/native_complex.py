"""The networks in PyTorch's own complex64 operators, as one would first write them.

`native(model)` gives the same function as the model, and the same class, so that whatever runs or
trains the model runs or trains this: complex maps (B, C, F, T), `conv2d` with complex kernels, and
SPEC's formulas one operator after another. It is the plain form that benchmarks compare with.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.engine.fused import choice  # noqa: F401 (registers the forms)
from cplxsep.engine.fused.registry import has_form
from cplxsep.networks.heads import Extractor, MaskHead
from cplxsep.networks.model import SeparationModel, SpectralNetwork
from cplxsep.networks.unet import UNet
from cplxsep.nn.complex_norm import ComplexNorm
from cplxsep.nn.complex_norm.statement import EPS
from cplxsep.nn.conv import ComplexConv2d
from cplxsep.nn.pairs import from_complex, to_complex


def native(model: SeparationModel) -> SeparationModel:
    """The model with its network in complex64, weights copied.

    ValueError: it has options that have no inference form, and none here.
    """
    if not (isinstance(model.network, SpectralNetwork) and has_form(model.network)):
        raise ValueError("there is no native complex form of this network")
    plain = copy.deepcopy(model)
    plain.network = NativeNetwork(plain.network)
    return plain


class NativeConv(nn.Module):
    """Complex 2-D convolution, zero padding."""

    def __init__(self, conv: ComplexConv2d) -> None:
        super().__init__()
        self.stride = conv.stride
        self.weight = nn.Parameter(torch.complex(conv.weight_real.data, conv.weight_imag.data))
        self.bias = None
        if conv.bias is not None:
            self.bias = nn.Parameter(torch.complex(*conv.bias.data.chunk(2)))

    def forward(self, maps: Tensor) -> Tensor:
        padding = self.weight.shape[-1] // 2
        return F.conv2d(maps, self.weight, self.bias, stride=self.stride, padding=padding)


class NativeNorm(nn.Module):
    """Complex layer norm, with CReLU where the original has it."""

    def __init__(self, norm: ComplexNorm) -> None:
        super().__init__()
        self.gain = nn.Parameter(norm.gain.data.clone())
        self.bias = nn.Parameter(torch.complex(*norm.bias.data))
        self.relu = norm.relu
        self.axes = (1, 2, 3) if norm.scope == "layer" else (2, 3)

    def forward(self, maps: Tensor) -> Tensor:
        maps = maps - maps.mean(self.axes, keepdim=True)
        real, imag = maps.real, maps.imag
        a = real.square().mean(self.axes, keepdim=True) + EPS
        d = imag.square().mean(self.axes, keepdim=True) + EPS
        c = (real * imag).mean(self.axes, keepdim=True)
        s = torch.sqrt(a * d - c * c)
        t = torch.sqrt(a + d + 2 * s)
        white_r = ((d + s) * real - c * imag) / (s * t)
        white_i = ((a + s) * imag - c * real) / (s * t)
        rr, ri, ii = self.gain[:, :, None, None]
        scaled = torch.complex(rr * white_r + ri * white_i, ri * white_r + ii * white_i)
        out = scaled + self.bias[:, None, None]
        return crelu(out) if self.relu else out


def crelu(maps: Tensor) -> Tensor:
    """ReLU of both parts."""
    return torch.complex(maps.real.relu(), maps.imag.relu())


def upsample(maps: Tensor) -> Tensor:
    """Bilinear interpolation of both parts to twice the size."""

    def part(values: Tensor) -> Tensor:
        return F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=True)

    return torch.complex(part(maps.real), part(maps.imag))


def bounded(masks: Tensor) -> Tensor:
    """Masks with modulus tanh|m| and their own phase."""
    return torch.polar(masks.abs().tanh(), masks.angle())


class NativeUNet(nn.Module):
    """Stem, encoder and decoder with skip connections."""

    def __init__(self, unet: UNet) -> None:
        super().__init__()
        self.stem, self.encoder, self.decoder = unet.stem, unet.encoder, unet.decoder

    def forward(self, maps: Tensor) -> Tensor:
        skips = []
        maps = self.stem(maps)
        for down in self.encoder:
            skips.append(maps)
            maps = down(maps)
        for up in self.decoder:
            maps = up(torch.cat([skips.pop(), upsample(maps)], dim=1))
        return maps


class NativeMaskHead(nn.Module):
    """One mask for each source."""

    def __init__(self, head: MaskHead) -> None:
        super().__init__()
        self.masks, self.polar = head.masks, head.mask == "polar"

    def forward(self, features: Tensor, mixture: Tensor) -> Tensor:
        masks = self.masks(features)
        return (bounded(masks) if self.polar else masks) * mixture


class NativeExtractor(nn.Module):
    """FiLM-transformed mixtures, a mask for each, and their average."""

    def __init__(self, head: Extractor) -> None:
        super().__init__()
        self.film, self.masks, self.polar = head.film, head.masks, head.mask == "polar"
        self.sources, self.transformations = head.sources, head.transformations
        self.dropout, self.offset = head.dropout, complex(*head.offset)

    def forward(self, features: Tensor, mixture: Tensor) -> Tensor:
        groups = (self.sources, self.transformations)
        gamma, beta = self.film(features).chunk(2, dim=1)
        scaled = (self.offset + gamma) * mixture
        if self.training and self.dropout:
            drawn = torch.rand(self.sources * self.transformations, device=mixture.device)
            scaled = scaled * (drawn >= self.dropout)[:, None, None]
        elif self.dropout:
            scaled = scaled * (1 - self.dropout)
        transformed = (scaled + beta).unflatten(1, groups)
        copies = mixture.unsqueeze(1).expand(-1, self.sources, -1, -1, -1)
        candidates = torch.cat([copies, transformed], dim=2)
        flat = candidates.flatten(1, 2)
        masks = self.masks(torch.cat([flat, features], dim=1))
        products = (bounded(masks) if self.polar else masks) * flat
        return products.unflatten(1, candidates.shape[1:3]).mean(dim=2)


NATIVE = {
    ComplexConv2d: NativeConv,
    ComplexNorm: NativeNorm,
    UNet: NativeUNet,
    MaskHead: NativeMaskHead,
    Extractor: NativeExtractor,
}


def translate(module: nn.Module) -> nn.Module:
    """The native form of a module; containers, and sums of maps, serve both forms."""
    for name, child in module.named_children():
        setattr(module, name, translate(child))
    form = NATIVE.get(type(module))
    return form(module) if form else module


class NativeNetwork(nn.Module):
    """Sources' spectrograms (B, 2N, F, T) from the mixture's (B, 2, F, T), complex inside."""

    def __init__(self, network: SpectralNetwork) -> None:
        super().__init__()
        self.patch, self.drop_nyquist = network.patch, network.drop_nyquist
        self.factor = network.patch * network.unet.factor
        self.unet = translate(network.unet)
        self.head = translate(network.head)

    def forward(self, mixture: Tensor) -> Tensor:
        # bfloat16 has no complex twin: autocast must not reach the parts.
        with torch.autocast(mixture.device.type, enabled=False):
            return from_complex(self._sources(to_complex(mixture)))

    def _sources(self, mixture: Tensor) -> Tensor:
        bins, frames = mixture.shape[2:]
        kept = bins - 1 if self.drop_nyquist else bins
        padded = F.pad(mixture[:, :, :kept], (0, -frames % self.factor, 0, -kept % self.factor))
        features = self.unet(F.pixel_unshuffle(padded, self.patch))
        features = F.pixel_shuffle(features, self.patch)
        sources = self.head(features, padded)[:, :, :kept, :frames]
        return F.pad(sources, (0, 0, 0, bins - kept))
