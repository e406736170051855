"""What the order of talkers is found from, measured of many chunks at once, on their device."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cplxsep.audio.level import frame_of
from cplxsep.model_folder.voices import load_voices
from cplxsep.networks.bands import band_powers, bands_within
from cplxsep.networks.speaker_embedding import DIMENSIONS


class Measured(NamedTuple):
    """What can be told of the frames of a chunk's sources without those before.

    powers: mean powers (N, T). embedded: speaker embeddings (N, T, D).
    """

    powers: np.ndarray
    embedded: np.ndarray


def measure(sources: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Mean powers (B, N, T), float64, and speaker embeddings (B, N, T, D), of (B, N, S).

    Sources shorter than a frame are one frame that tells of nobody.
    """
    frame = frame_of(sample_rate)
    own = min(frame, sources.shape[-1])
    frames = sources[..., : sources.shape[-1] // own * own].unflatten(-1, (-1, own))
    powers = frames.double().square().mean(-1)
    if own < frame:
        return powers, sources.new_zeros(*powers.shape, DIMENSIONS)
    network = load_voices(sources.device)
    # Ratios alone count, but squares of the largest and the smallest are no float32.
    loudest = sources.abs().amax(-1).clamp_min(torch.finfo(sources.dtype).tiny)
    relative = frames / loudest[..., None, None]
    return powers, network(band_powers(relative, sample_rate), bands_within(sample_rate))


def measured(sources: np.ndarray, sample_rate: int) -> Measured:
    """`measure` of one chunk's sources (N, S)."""
    given = torch.from_numpy(np.ascontiguousarray(sources, np.float32))
    powers, embedded = measure(given[None], sample_rate)
    return Measured(powers[0].numpy(), embedded[0].numpy())
