"""What the order of talkers is found from, measured of many chunks at once, on their device."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cplxsep.audio.level import frame_of
from cplxsep.engine.voices import BANDS


class Measured(NamedTuple):
    """What can be told of the frames of a chunk's sources without those before.

    powers: mean powers (N, T). bands: powers in mel bands (N, T, BANDS).
    """

    powers: np.ndarray
    bands: np.ndarray


def measure(sources: Tensor, sample_rate: int) -> tuple[Tensor, Tensor]:
    """Mean powers (B, N, T), float64, and those in mel bands (B, N, T, BANDS), of (B, N, S).

    Sources shorter than a frame are one frame that has no bands.
    """
    frame = frame_of(sample_rate)
    own = min(frame, sources.shape[-1])
    frames = sources[..., : sources.shape[-1] // own * own].unflatten(-1, (-1, own))
    powers = frames.double().square().mean(-1)
    if own < frame:
        return powers, sources.new_zeros(*powers.shape, BANDS)
    window, bands = _tables(frame, sample_rate, sources.device)
    spectra = torch.view_as_real(torch.fft.rfft(frames * window))
    return powers, spectra.square().sum(-1) @ bands


def measured(sources: np.ndarray, sample_rate: int) -> Measured:
    """`measure` of one chunk's sources (N, S)."""
    given = torch.from_numpy(np.ascontiguousarray(sources, np.float32))
    powers, bands = measure(given[None], sample_rate)
    return Measured(powers[0].numpy(), bands[0].numpy())


@lru_cache(maxsize=8)
def _tables(frame: int, sample_rate: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The window of a frame, and what averages a power spectrum in mel bands (F, BANDS)."""
    window = torch.from_numpy(np.hanning(frame).astype(np.float32))
    return window.to(device), torch.from_numpy(_mel_bands(frame, sample_rate)).to(device)


def _mel_bands(frame: int, sample_rate: int) -> np.ndarray:
    """Averaging matrix (F, BANDS) from power spectra to triangles even on the mel scale."""
    frequencies = np.fft.rfftfreq(frame, 1 / sample_rate)
    mel = 2595 * np.log10(1 + frequencies / 700)
    edges = np.linspace(2595 * np.log10(1 + 80 / 700), mel[-1], BANDS + 2)
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (mel[:, None] - low) / (middle - low)
    falling = (high - mel[:, None]) / (high - middle)
    bands = np.maximum(0, np.minimum(rising, falling))
    return (bands / np.maximum(bands.sum(axis=0), 1e-9)).astype(np.float32)
