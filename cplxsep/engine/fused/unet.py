"""Inference form of the residual U-Net."""

from typing import cast

import torch
from torch import nn

from cplxsep.engine.fused.layers import FusedBlock, Maps, fused_steps, steps_have_forms
from cplxsep.engine.fused.registry import ModuleForm, form_of
from cplxsep.networks.unet import UNet
from cplxsep.nn.between_convolutions import Between


@form_of(UNet, "stem", "encoder", "decoder")
class FusedUNet(ModuleForm):
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
