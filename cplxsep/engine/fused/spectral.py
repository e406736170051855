"""Inference form of the U-Net with its head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.engine.fused import forms, heads, unet  # noqa: F401 (they register their forms)
from cplxsep.engine.fused.layers import Maps
from cplxsep.networks.model import SpectralNetwork
from cplxsep.nn.between_convolutions import BETWEEN, Between
from cplxsep.nn.native.build import NoCompilerError


@forms.network_form(SpectralNetwork)
def spectral(
    network: SpectralNetwork, device: torch.device, dtype: torch.dtype | None
) -> tuple[nn.Module, str]:
    """Its form, if all of its modules have one; on a CPU with native code between convolutions."""
    wide, between, kind = dtype or torch.float32, BETWEEN.statement, forms.PLAIN
    if not forms.has_form(network):
        return network, kind
    if device.type == "cpu":
        try:
            BETWEEN.enable("cpu")
            between, kind = BETWEEN.on(device, wide), forms.NATIVE
        except NoCompilerError as error:
            kind = f"{forms.PLAIN}: {error}"
    return forms.form(network, wide, between), kind


@forms.form_of(SpectralNetwork, "unet", "head")
class FusedNetwork(forms.ModuleForm):
    """Inference form of `SpectralNetwork`: (B, 2, F, T) -> (B, 2N, F, T), both float32."""

    @staticmethod
    def takes(network: SpectralNetwork) -> bool:
        return forms.has_form(network.unet) and forms.has_form(network.head)

    def __init__(self, network: SpectralNetwork, dtype: torch.dtype, between: Between) -> None:
        super().__init__()
        self.patch = network.patch
        self.drop_nyquist = network.drop_nyquist
        self.factor = network.patch * network.unet.factor
        self.dtype = dtype
        self.between = between
        self.unet = forms.form(network.unet, dtype, between)
        self.head = forms.form(network.head, dtype, between)

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
