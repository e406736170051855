"""The loss of one batch, from mixtures and sources to a scalar."""

import torch
from torch import Tensor

from cplxsep.config import TrainConfig
from cplxsep.losses import MIXTURE_AWARE, SPECTRAL, WAVEFORM, magnitude_distance, pit
from cplxsep.networks.model import SeparationModel


class Objective:
    """Permutation-invariant loss of a named kind.

    Mixtures and sources are brought to the mixture's unit RMS first, so that losses that depend
    on level weigh every example alike.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.kind = config.loss
        self.magnitude = config.magnitude
        self.weights: dict[str, float] = {}
        if config.loss.startswith("csim"):
            self.weights = {"real_weight": config.csim_real, "imag_weight": config.csim_imag}

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
            spectra = model.spectra(mixtures)
        spectra = spectra.float()
        if self.kind in SPECTRAL and not self.magnitude:
            return pit(self._spectral(model, spectra, sources))[0].mean()
        estimates = model.stft.inverse(spectra, mixtures.shape[-1])
        if self.kind in SPECTRAL:
            scores = self._spectral(model, spectra, sources)
        elif self.kind in MIXTURE_AWARE:
            scores = MIXTURE_AWARE[self.kind](estimates, sources, mixtures)
        else:
            scores = WAVEFORM[self.kind](estimates, sources)
        losses, order = pit(scores)
        if self.magnitude:
            matched = estimates.gather(1, order[:, :, None].expand_as(estimates))
            losses = losses + self.magnitude * magnitude_distance(matched, sources)
        return losses.mean()

    def _spectral(self, model: SeparationModel, spectra: Tensor, sources: Tensor) -> Tensor:
        references = _by_source(_stft(model, sources))
        return SPECTRAL[self.kind](_by_source(spectra), references, **self.weights)


def _by_source(maps: Tensor) -> Tensor:
    """(B, 2N, F, T) maps as (B, N, 2, F, T)."""
    return torch.stack(maps.chunk(2, dim=1), dim=2)


def _stft(model: SeparationModel, sources: Tensor) -> Tensor:
    """Maps (B, 2N, F, T) of sources (B, N, S)."""
    maps = model.stft(sources.flatten(0, 1)).unflatten(0, sources.shape[:2])
    return maps.transpose(1, 2).flatten(1, 2)
