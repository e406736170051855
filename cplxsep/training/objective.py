"""The loss of one batch, from mixtures and sources to a scalar."""

from typing import Any

import torch
from torch import Tensor

from cplxsep.config import TrainConfig
from cplxsep.losses import (
    BATCH_WIDE,
    MIXTURE_AWARE,
    SPECTRAL,
    WAVEFORM,
    Total,
    alone,
    magnitude_distance,
    pit,
)
from cplxsep.networks.model import SeparationModel


class Objective:
    """Permutation-invariant loss of a named kind.

    Mixtures and sources are brought to the mixture's unit RMS first, so that losses that depend
    on level weigh every example alike. Where several processes share a batch, `total` sums over
    them, for losses and permutations that are of the batch as a whole.
    """

    def __init__(self, config: TrainConfig, total: Total = alone) -> None:
        self.kind = config.loss
        self.per = config.pit
        self.magnitude = config.magnitude
        self.summed = config.over_sources == "sum"
        self.total = total
        self.options: dict[str, Any] = {"total": total} if config.loss in BATCH_WIDE else {}
        if config.loss.startswith("csim"):
            self.options |= {"real_weight": config.csim_real, "imag_weight": config.csim_imag}

    def __call__(
        self,
        model: SeparationModel,
        mixtures: Tensor,
        sources: Tensor,
        autocast: torch.dtype | None,
    ) -> Tensor:
        """Mean loss of mixtures (B, S) against sources (B, N, S)."""
        level = mixtures.square().mean(dim=-1, keepdim=True).sqrt().clamp_min(1e-8)
        mixtures = mixtures / level
        sources = sources / level.unsqueeze(1)
        with torch.autocast(mixtures.device.type, autocast, enabled=autocast is not None):
            estimates = model.estimate(mixtures)
        if self.kind in SPECTRAL:
            spectra = _by_source(estimates.as_spectra()), _by_source(model.stft.of_sources(sources))
            scores = SPECTRAL[self.kind](*spectra, **self.options)
        elif self.kind in MIXTURE_AWARE:
            scores = MIXTURE_AWARE[self.kind](estimates.as_audio(), sources, mixtures)
        else:
            scores = WAVEFORM[self.kind](estimates.as_audio(), sources)
        losses, order = pit(scores, self.per, self.total)
        if self.magnitude:
            audio = estimates.as_audio()
            matched = audio.gather(1, order[:, :, None].expand_as(audio))
            losses = losses + self.magnitude * magnitude_distance(matched, sources)
        return losses.mean() * (sources.shape[1] if self.summed else 1)


def _by_source(maps: Tensor) -> Tensor:
    """(B, 2N, F, T) maps as (B, N, 2, F, T)."""
    return torch.stack(maps.chunk(2, dim=1), dim=2)
