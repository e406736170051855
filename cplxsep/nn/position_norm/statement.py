"""Layer norm over the channels of one position, with what passes beside it, stated plainly."""

import torch.nn.functional as F
from torch import Tensor

EPS = 1e-5


def statement(maps: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The maps (B, F, T, C) for the residual sum, and their norm; gain and bias (C,)."""
    wide = gain.dtype
    normed = F.layer_norm(maps.to(wide), maps.shape[-1:], gain, bias, EPS)
    return maps, normed.to(maps.dtype)
