"""The band above what a network hears: how much of it to let through. Numpy only."""

from typing import Literal

import numpy as np

# What becomes of the input's band above the model's: attenuated as the highest band that the
# network heard, passed through as it is, or dropped.
Above = Literal["follow", "keep", "drop"]
FRAME = 0.032  # seconds
TOP = 0.75  # the highest band begins at this fraction of the model's
_FLOOR = 1e-9  # of the loudest frame's power: below, a ratio says nothing


def follow_gain(mixture: np.ndarray, source: np.ndarray, sample_rate: int) -> np.ndarray:
    """Gain (S,), from 0 to 1, that the highest band of a mixture (S,) got in a source (S,).

    The root of the ratio of the two powers above 0.75 of the band, in overlapping frames of
    32 ms, joined by straight lines.
    """
    frame = max(round(FRAME * sample_rate), 4)
    hop = frame // 2
    count = -(-len(mixture) // hop) + 1
    window = np.hanning(frame)
    first = int(TOP * (frame // 2 + 1))
    powers = []
    for signal in (mixture, source):
        padded = np.zeros((count + 1) * hop + frame)
        padded[hop : hop + len(signal)] = signal
        frames = np.lib.stride_tricks.sliding_window_view(padded, frame)[: count * hop : hop]
        spectra = np.fft.rfft(frames * window, axis=1)[:, first:]
        powers.append((spectra.real**2 + spectra.imag**2).sum(axis=1))
    before, after = powers
    floor = _FLOOR * before.max() + np.finfo(np.float64).tiny
    gains = np.sqrt((after + floor) / (before + floor)).clip(0.0, 1.0)
    centres = np.arange(count) * hop - hop + frame / 2
    return np.interp(np.arange(len(mixture)), centres, gains).astype(np.float32)
