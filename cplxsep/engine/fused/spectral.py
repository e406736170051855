"""Inference form of the residual U-Net, and of it with its head."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.engine.fused import heads, registry  # noqa: F401 (heads registers its forms)
from cplxsep.engine.fused.layers import FusedBlock, Maps, fused_steps, steps_have_forms
from cplxsep.networks.model import SpectralNetwork
from cplxsep.networks.unet import UNet
from cplxsep.nn.backends import triton_works
from cplxsep.nn.between_convolutions import BETWEEN, Between
from cplxsep.nn.native.build import NoCompilerError


@registry.network_form(SpectralNetwork)
def spectral(
    network: SpectralNetwork, device: torch.device, dtype: torch.dtype | None
) -> tuple[nn.Module, str]:
    """Its form, if all of its modules have one; with native code or Triton between convolutions."""
    wide, between, kind = dtype or torch.float32, BETWEEN.statement, registry.PLAIN
    if not registry.has_form(network):
        return network, kind
    if device.type == "cuda" and triton_works(device):
        between, kind = BETWEEN.on(device, wide), registry.TRITON
    elif device.type == "cpu":
        try:
            BETWEEN.enable("cpu")
            between, kind = BETWEEN.on(device, wide), registry.NATIVE
        except NoCompilerError as error:
            kind = f"{registry.PLAIN}: {error}"
    return registry.form(network, wide, between), kind


@registry.form_of(SpectralNetwork, "unet", "head")
class FusedNetwork(registry.ModuleForm):
    """Inference form of `SpectralNetwork`: (B, 2, F, T) -> (B, 2N, F, T), both float32."""

    @staticmethod
    def takes(network: SpectralNetwork) -> bool:
        return registry.has_form(network.unet) and registry.has_form(network.head)

    def __init__(self, network: SpectralNetwork, dtype: torch.dtype, between: Between) -> None:
        super().__init__()
        self.patch = network.patch
        self.drop_nyquist = network.drop_nyquist
        self.factor = network.patch * network.unet.factor
        self.dtype = dtype
        self.between = between
        self.unet = registry.form(network.unet, dtype, between)
        self.head = registry.form(network.head, dtype, between)

    def forward(self, mixture: Tensor) -> Tensor:
        bins, frames = mixture.shape[2:]
        kept = bins - 1 if self.drop_nyquist else bins
        padded = F.pad(mixture[:, :, :kept], (0, -frames % self.factor, 0, -kept % self.factor))
        patched = F.pixel_unshuffle(padded, self.patch) if self.patch > 1 else padded
        rows = patched.to(self.dtype).permute(0, 2, 3, 1).contiguous()
        features = self.unet(Maps(rows, self.between))
        if self.patch > 1:
            features = Maps(self.between.shuffle(features.rows, self.patch), self.between)
        sources = self.head(features, padded.contiguous())[:, :, :kept, :frames]
        return F.pad(sources, (0, 0, 0, bins - kept))


@registry.form_of(UNet, "stem", "encoder", "decoder")
class FusedUNet(registry.ModuleForm):
    """As `UNet`, on maps (B, H, W, 2C)."""

    @staticmethod
    def takes(unet: UNet) -> bool:
        return all(map(steps_have_forms, (unet.stem, *unet.encoder, *unet.decoder)))

    def __init__(self, unet: UNet, dtype: torch.dtype, between: Between) -> None:
        super().__init__()
        self.stem = fused_steps(unet.stem, dtype, between)
        self.encoder = nn.ModuleList(fused_steps(stage, dtype, between) for stage in unet.encoder)
        self.decoder = nn.ModuleList(fused_steps(stage, dtype, between) for stage in unet.decoder)

    def forward(self, maps: Maps) -> Maps:
        skips = []
        maps = _run(self.stem, maps)
        for down in self.encoder:
            skips.append(maps)
            maps = _run(down, maps)
        for stage in self.decoder:
            first, *rest = cast(nn.ModuleList, stage)
            maps = _run(rest, cast(FusedBlock, first).joined(skips.pop(), maps))
        return maps


def _run(steps: nn.Module | list[nn.Module], maps: Maps) -> Maps:
    for step in cast(nn.ModuleList, steps):
        maps = step(maps)
    return maps
