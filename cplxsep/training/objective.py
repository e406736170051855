"""The loss of one batch, from mixtures and sources to a scalar."""

from functools import partial

import torch
from torch import Tensor

from cplxsep.config import TrainConfig
from cplxsep.losses import SPECTRAL, WAVEFORM, PairLoss, pit
from cplxsep.networks.model import SeparationModel


class Objective:
    """Permutation-invariant loss of a named kind.

    Mixtures and sources are brought to the mixture's unit RMS first, so that losses that depend
    on level weigh every example alike.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.spectral = config.loss in SPECTRAL
        self.pairs: PairLoss = (SPECTRAL if self.spectral else WAVEFORM)[config.loss]
        if config.loss.startswith("csim"):
            weights = {"real_weight": config.csim_real, "imag_weight": config.csim_imag}
            self.pairs = partial(self.pairs, **weights)

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
        if self.spectral:
            estimates = _by_source(spectra)
            references = _by_source(_stft(model, sources))
        else:
            estimates = model.stft.inverse(spectra, mixtures.shape[-1])
            references = sources
        losses, _ = pit(self.pairs(estimates, references))
        return losses.mean()


def _by_source(maps: Tensor) -> Tensor:
    """(B, 2N, F, T) maps as (B, N, 2, F, T)."""
    return torch.stack(maps.chunk(2, dim=1), dim=2)


def _stft(model: SeparationModel, sources: Tensor) -> Tensor:
    """Maps (B, 2N, F, T) of sources (B, N, S)."""
    maps = model.stft(sources.flatten(0, 1)).unflatten(0, sources.shape[:2])
    return maps.transpose(1, 2).flatten(1, 2)
