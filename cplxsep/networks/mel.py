"""Powers in mel bands of short frames, the same bands at every sample rate."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

BANDS = 40
LOWEST, HIGHEST = 80.0, 8000.0  # Hz


def mel_powers(frames: Tensor, sample_rate: int) -> Tensor:
    """Powers (..., BANDS) of frames (..., S) of any length; nothing where the rate has no band."""
    window, bands = _tables(frames.shape[-1], sample_rate, frames.device)
    spectra = torch.view_as_real(torch.fft.rfft(frames * window))
    return spectra.square().sum(-1) @ bands


def bands_within(sample_rate: int) -> int:
    """How many of the bands, from the lowest on, end below half of the sample rate."""
    return int((_edges()[2:] <= sample_rate / 2 * (1 + 1e-9)).sum())


def _edges() -> np.ndarray:
    """Where a band begins, the next peaks and the one before ends, in Hz (BANDS + 2,)."""
    low, high = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST, HIGHEST))
    return 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)


@lru_cache(maxsize=8)
def _tables(frame: int, sample_rate: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The window of a frame, and what averages a power spectrum in mel bands (F, BANDS)."""
    window = torch.from_numpy(np.hanning(frame).astype(np.float32))
    return window.to(device), torch.from_numpy(_averages(frame, sample_rate)).to(device)


def _averages(frame: int, sample_rate: int) -> np.ndarray:
    """Averaging matrix (F, BANDS) from power spectra to triangles even on the mel scale."""
    frequencies, edges = np.fft.rfftfreq(frame, 1 / sample_rate)[:, None], _edges()
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    bands = np.maximum(0, np.minimum(rising, falling))
    bands[:, bands_within(sample_rate) :] = 0
    return (bands / np.maximum(bands.sum(axis=0), 1e-9)).astype(np.float32)
