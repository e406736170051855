"""Inference form of the residual U-Net."""

from typing import cast

import torch
from torch import nn

from cplxsep.engine.fused.layers import FusedBlock, Maps, fused_steps
from cplxsep.networks.unet import UNet
from cplxsep.nn.between_convolutions import Between


class FusedUNet(nn.Module):
    """As `UNet`, on maps (B, H, W, 2C)."""

    def __init__(self, unet: UNet, dtype: torch.dtype, kernels: Between) -> None:
        super().__init__()
        self.stem = fused_steps(unet.stem, dtype, kernels)
        self.encoder = nn.ModuleList(fused_steps(stage, dtype, kernels) for stage in unet.encoder)
        self.decoder = nn.ModuleList(fused_steps(stage, dtype, kernels) for stage in unet.decoder)

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
