"""Powers of short frames in bands, the same bands at every sample rate.

Narrow ones for single harmonics, by which a voice has its pitch, and mel bands over all of speech.
"""

from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor

NARROW, APART = 32, 31.25  # how many, and Hz between them: what a frame of 32 ms resolves
MEL = 40
BANDS = NARROW + MEL
LOWEST, HIGHEST = 80.0, 8000.0  # Hz, of mel bands


def band_powers(frames: Tensor, sample_rate: int) -> Tensor:
    """Powers (..., BANDS) of frames (..., S) of any length; nothing where the rate has no band."""
    window, bands = _tables(frames.shape[-1], sample_rate, frames.device)
    spectra = torch.view_as_real(torch.fft.rfft(frames * window))
    return spectra.square().sum(-1) @ bands


@cache
def bands_within(sample_rate: int) -> int:
    """How many of the bands, from the first on, end below half of the sample rate."""
    return int((edges()[:, 2] <= sample_rate / 2 * (1 + 1e-9)).sum())


def edges() -> np.ndarray:
    """Where each band begins, peaks and ends, in Hz (BANDS, 3)."""
    low, high = mels(np.array([LOWEST, HIGHEST]))
    mel = 700 * (10 ** (np.linspace(low, high, MEL + 2) / 2595) - 1)
    narrow = APART * np.arange(1, NARROW + 3)
    return np.concatenate(
        [np.stack([hertz[:-2], hertz[1:-1], hertz[2:]], axis=1) for hertz in (narrow, mel)]
    )


def mels(hertz: np.ndarray) -> np.ndarray:
    """Frequencies on the mel scale."""
    return 2595 * np.log10(1 + hertz / 700)


@lru_cache(maxsize=8)
def _tables(frame: int, sample_rate: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The window of a frame, and what averages a power spectrum in bands (F, BANDS)."""
    window = torch.from_numpy(np.hanning(frame).astype(np.float32))
    return window.to(device), torch.from_numpy(_averages(frame, sample_rate)).to(device)


def _averages(frame: int, sample_rate: int) -> np.ndarray:
    """Averaging matrix (F, BANDS) from power spectra to triangles."""
    frequencies, (low, middle, high) = np.fft.rfftfreq(frame, 1 / sample_rate)[:, None], edges().T
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    bands = np.maximum(0, np.minimum(rising, falling))
    bands[:, bands_within(sample_rate) :] = 0
    return (bands / np.maximum(bands.sum(axis=0), 1e-9)).astype(np.float32)
