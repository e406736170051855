"""Levels of rows of audio on a device, as audio/level.py measures them."""

import torch
from torch import Tensor

from cplxsep.audio.level import ACTIVE_RANGE_DB, from_db


def gain_of(decibels: Tensor) -> Tensor:
    """Amplitude ratios of levels in dB."""
    return torch.pow(10.0, decibels / 20.0)


def rms(audio: Tensor, counts: Tensor) -> Tensor:
    """RMS of rows (..., S) of which `counts` (...) samples are more than filling."""
    return (audio.square().sum(-1) / counts).sqrt()


def active_level(audio: Tensor, frame: int, lengths: Tensor | None = None) -> Tensor:
    """RMS of rows (..., S) over the frames that are within 40 dB of the loudest; 0 for silence.

    `lengths`, such as (B, 1), of rows after which there is silence: only their whole frames count.
    """
    whole = audio.shape[-1] // frame * frame
    plain = audio.square().mean(-1).sqrt()  # where all of the sound is after the last whole frame
    if not whole:
        return plain
    powers = audio[..., :whole].unflatten(-1, (-1, frame)).square().mean(-1)
    if lengths is not None:
        powers *= torch.arange(powers.shape[-1], device=audio.device) < lengths // frame
    least = powers.amax(-1, keepdim=True) * from_db(-ACTIVE_RANGE_DB) ** 2
    active = powers >= least
    level = ((powers * active).sum(-1) / active.sum(-1)).sqrt()
    return torch.where(level > 0, level, plain)


def ratio(wanted: Tensor, found: Tensor) -> Tensor:
    """Gains from levels that are found to those that are wanted; 0 for silence."""
    return torch.where(found > 0, wanted / found.clamp(min=1e-20), 0.0)


def total(sources: Tensor) -> Tensor:
    """Sum of (B, N, S) over the sources, one after the other as in mixing.add: (B, S)."""
    mixture = sources[:, 0].clone()
    for source in sources.unbind(1)[1:]:
        mixture += source
    return mixture
