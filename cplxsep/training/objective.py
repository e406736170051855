"""The loss of one batch, from mixtures and sources to a scalar."""

from typing import Any

import torch
from torch import Tensor, nn

from cplxsep.config import TrainConfig
from cplxsep.losses import (
    BATCH_WIDE,
    MIXTURE_AWARE,
    SPECTRAL,
    TOGETHER,
    WAVEFORM,
    Total,
    identity,
    magnitude_distance,
    pit,
)
from cplxsep.networks.model import Estimates, SeparationModel


class Objective:
    """Permutation-invariant loss of a named kind.

    Mixtures and sources are brought to the mixture's unit RMS first, so that losses that depend
    on level weigh every example alike. Where several processes share a batch, `total` sums over
    them, for losses and permutations that are of the batch as a whole.

    Of `filled` mixtures, which end in zeros up to the longest of the batch, what the network makes
    of the zeros does not count, as in the published code (SPEC section 2).
    """

    def __init__(
        self, config: TrainConfig, total: Total = identity, *, filled: bool = False
    ) -> None:
        self.kind = config.loss
        self.per = config.pit
        self.magnitude = config.magnitude
        self.summed = config.over_sources == "sum"
        self.total = total
        self.filled = filled
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
        if self.filled:
            _silence_fillings(estimates, mixtures, spectral=self.kind in SPECTRAL)
        if self.kind in SPECTRAL:
            spectra = _by_source(estimates.as_spectra()), _by_source(model.stft.of_sources(sources))
            scores = SPECTRAL[self.kind](*spectra, **self.options)
        elif self.kind in MIXTURE_AWARE:
            scores = MIXTURE_AWARE[self.kind](estimates.as_audio(), sources, mixtures)
        else:
            scores = WAVEFORM[self.kind](estimates.as_audio(), sources)
        losses, order = pit(scores, self.per, self.total)
        if self.kind in TOGETHER:
            losses = TOGETHER[self.kind](losses, sources)
        if self.magnitude:
            audio = estimates.as_audio()
            matched = audio.gather(1, order[:, :, None].expand_as(audio))
            losses = losses + self.magnitude * magnitude_distance(matched, sources)
        return losses.mean() * (sources.shape[1] if self.summed else 1)


class TrainingForward(nn.Module):
    """A model's loss, as one module: from mixtures to a scalar.

    Args:
        model: at the highest of its rates.
        autocast: type of mixed precision.
    """

    def __init__(
        self, model: SeparationModel, objective: Objective, autocast: torch.dtype | None
    ) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.autocast = autocast
        self._at: dict[int, SeparationModel] = {}  # no modules of their own

    def forward(self, rate: int, mixtures: Tensor, sources: Tensor) -> Tensor:
        """Mean loss of mixtures (B, S) against sources (B, N, S), at a rate in Hz."""
        if rate not in self._at:
            self._at[rate] = self.model.at(rate)
        return self.objective(self._at[rate], mixtures, sources, self.autocast)


def _silence_fillings(estimates: Estimates, mixtures: Tensor, *, spectral: bool) -> None:
    """Set estimates to zero behind the last sample of each mixture (B, S) that is not zero.

    Of spectra, where the loss is of those, the frames whose window lies behind it as a whole.
    """
    samples = torch.arange(1, 1 + mixtures.shape[1], device=mixtures.device)
    lengths = (samples * (mixtures != 0)).amax(dim=1)
    if estimates.spectra is None or not spectral:
        estimates.audio = estimates.as_audio() * (samples <= lengths[:, None])[:, None, :]
    if spectral:
        spectra, stft = estimates.as_spectra(), estimates.stft
        frames = torch.arange(spectra.shape[-1], device=mixtures.device)
        heard = frames * stft.hop - stft.window // 2 < lengths[:, None]
        estimates.spectra = spectra * heard[:, None, None, :]


def _by_source(maps: Tensor) -> Tensor:
    """(B, 2N, F, T) maps as (B, N, 2, F, T)."""
    return torch.stack(maps.chunk(2, dim=1), dim=2)
