"""From a trained model to its inference form."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.engine.fused.heads import head_form
from cplxsep.engine.fused.layers import Maps
from cplxsep.engine.fused.unet import FusedUNet
from cplxsep.networks.model import SeparationModel, SpectralNetwork
from cplxsep.nn.between_convolutions import BETWEEN, Between

# Options of a model that the inference form follows, or that it does not depend on.
FUSED = {
    *("sample_rate", "sources", "window", "hop", "level", "patch", "drop_nyquist"),
    *("start_maps", "residual_blocks", "levels", "order", "norm"),
    *("transformations", "dropout", "film_offset", "mask"),
    *("init", "criterion", "head_init", "head_init_of", "head_gain"),
}


def fuse(model: nn.Module, dtype: torch.dtype, kernels: Between | None = None) -> nn.Module:
    """The inference form of a model, on the model's device; the model itself is left as it is.

    Models without one come back unchanged: the real twin, and rarer options.

    Args:
        dtype: working precision, float32, bfloat16 or float16; statistics, the STFT and the
            product of mask and mixture stay float32.
        kernels: what computes between convolutions, by default plain PyTorch.
    """
    if not fusable(model):
        return model
    model = cast(SeparationModel, model)
    network = cast(SpectralNetwork, model.network)
    return model.with_network(FusedNetwork(network, dtype, kernels or BETWEEN.statement)).eval()


def fusable(model: nn.Module) -> bool:
    """Whether a model has an inference form: any option that is not known here has its default."""
    if not isinstance(model, SeparationModel):
        return False
    changed = model.config.model_dump(exclude_defaults=True)
    matters = changed.keys() - model.config.unused()
    return matters <= FUSED and changed.get("norm") != "batch"


class FusedNetwork(nn.Module):
    """Inference form of `SpectralNetwork`: (B, 2, F, T) -> (B, 2N, F, T), both float32."""

    def __init__(self, network: SpectralNetwork, dtype: torch.dtype, kernels: Between) -> None:
        super().__init__()
        self.patch = network.patch
        self.drop_nyquist = network.drop_nyquist
        self.factor = network.patch * network.unet.factor
        self.dtype = dtype
        self.kernels = kernels
        self.unet = FusedUNet(network.unet, dtype, kernels)
        self.head = head_form(network.head, dtype, kernels)

    def forward(self, mixture: Tensor) -> Tensor:
        bins, frames = mixture.shape[2:]
        kept = bins - 1 if self.drop_nyquist else bins
        padded = F.pad(mixture[:, :, :kept], (0, -frames % self.factor, 0, -kept % self.factor))
        patched = F.pixel_unshuffle(padded, self.patch) if self.patch > 1 else padded
        rows = patched.to(self.dtype).permute(0, 2, 3, 1).contiguous()
        features = self.unet(Maps(rows, self.kernels))
        if self.patch > 1:
            features = Maps(self.kernels.shuffle(features.rows, self.patch), self.kernels)
        sources = self.head(features, padded.contiguous())[:, :, :kept, :frames]
        return F.pad(sources, (0, 0, 0, bins - kept))
