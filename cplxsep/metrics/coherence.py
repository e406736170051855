"""What the energy-ratio metrics share: silence, level, and decibels from a squared cosine.

SI-SDR, SDR, SIR and SAR are each `c / (1 - c)` in dB, where c is the squared cosine of the angle
between an estimate and the space in which it is allowed to lie.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LIMIT_DB = 100.0
"""Scores stay within plus or minus this: float64 resolves no more, and means stay finite."""


def signals(values: ArrayLike) -> Array:
    """Signals as float64 (N, S), from (N, S) or (S,); ValueError for other shapes or no samples."""
    array = np.atleast_2d(np.asarray(values, dtype=np.float64))
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"expected signals of shape (N, S), got {array.shape}")
    return array


def silent(values: Array) -> NDArray[np.bool_]:
    """Which signals (..., S) hold no sound: all samples equal, whatever the level. Result (...)."""
    peak = np.abs(values).max(axis=-1)
    swing = np.ptp(values, axis=-1)
    return np.asarray(swing <= 1e-10 * peak)


def unit_level(values: Array) -> Array:
    """Signals (..., S) scaled to norm 1; silence stays silence."""
    # By the peak first: squares of very small samples would underflow.
    peak = np.abs(values).max(axis=-1, keepdims=True)
    scaled = values / np.where(peak > 0, peak, 1.0)
    norm = np.linalg.norm(scaled, axis=-1, keepdims=True)
    return np.asarray(scaled / np.where(norm > 0, norm, 1.0))


def to_db(coherence: Array) -> Array:
    """10 log10(c / (1 - c)) of squared cosines c, within plus or minus LIMIT_DB; NaN stays NaN."""
    least = 1.0 / (1.0 + 10.0 ** (LIMIT_DB / 10.0))
    c = np.clip(coherence, least, 1.0 - least)
    return np.asarray(10.0 * np.log10(c / (1.0 - c)))
