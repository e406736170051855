"""Change the sample rate."""

import numpy as np
import soxr


def resampled_length(samples: int, from_rate: int, to_rate: int) -> int:
    """Samples after resampling: `samples * to_rate / from_rate` to the nearest whole, halves up."""
    return (2 * samples * to_rate + from_rate) // (2 * from_rate)


def resample(audio: np.ndarray, from_rate: int, to_rate: int) -> np.ndarray:
    """Resample over the last axis, (S,) or (channels, S) -> float32 of exactly `resampled_length`.

    Rates in Hz. Equal rates copy nothing.
    """
    signal = np.asarray(audio, dtype=np.float32)
    if from_rate == to_rate:
        return signal
    length = resampled_length(signal.shape[-1], from_rate, to_rate)
    if signal.shape[-1] == 0 or length == 0:
        return np.zeros((*signal.shape[:-1], length), np.float32)
    changed = soxr.resample(signal.T, from_rate, to_rate, quality="HQ").T
    return fit(changed, length)


def change_speed(audio: np.ndarray, speed: float) -> np.ndarray:
    """Play (S,) `speed` times as fast, pitch included: float32 of about S / speed samples.

    The good quality: the cheap ones take away the top of the band, which test mixtures have.
    """
    return soxr.resample(audio, speed, 1.0, quality="HQ")


def fit(audio: np.ndarray, length: int) -> np.ndarray:
    """Cut or zero-pad the end of the last axis to `length` samples."""
    missing = length - audio.shape[-1]
    if missing > 0:
        audio = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, missing)])
    return np.ascontiguousarray(audio[..., :length])
