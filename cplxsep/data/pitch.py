"""The pitch of a voice, to find talkers who sound alike."""

import numpy as np

_FRAME_SECONDS = 0.04
_LONGEST_SECONDS = 6.0
_LOWEST, _HIGHEST = 60.0, 400.0  # Hz
_VOICED = 0.6  # of the autocorrelation at its highest, in voiced frames
_LEAST_FRAMES = 5


def median_pitch(audio: np.ndarray, sample_rate: int) -> float | None:
    """Median fundamental frequency in Hz of speech (S,) of any type; None where nothing is voiced.

    From the highest autocorrelation of each frame of 40 ms, the frame's taper divided out (Boersma
    1993, "Accurate short-term analysis of the fundamental frequency").
    """
    length = round(_FRAME_SECONDS * sample_rate)
    count = min(len(audio), round(_LONGEST_SECONDS * sample_rate)) // length
    if not count:
        return None
    frames = audio[: count * length].reshape(count, length).astype(np.float32)
    frames -= frames.mean(axis=1, keepdims=True)
    taper = np.hanning(length).astype(np.float32)
    likeness = _autocorrelation(frames * taper) / np.maximum(_autocorrelation(taper[None]), 1e-3)
    first, last = int(sample_rate / _HIGHEST), int(sample_rate / _LOWEST)
    power = likeness[:, :1]
    peaks = likeness[:, first:last] / np.maximum(power, 1e-9)
    loud = power[:, 0] > 0.05 * power.max()
    voiced = loud & (peaks.max(axis=1) > _VOICED)
    if voiced.sum() < _LEAST_FRAMES:
        return None
    # Of equally high ones the first: later ones are multiples of the period.
    best = peaks[voiced].max(axis=1, keepdims=True)
    lags = first + np.argmax(peaks[voiced] >= 0.9 * best, axis=1)
    return float(np.median(sample_rate / lags))


def _autocorrelation(frames: np.ndarray) -> np.ndarray:
    """Of frames (K, S) at lags from 0 to half of their length."""
    length = frames.shape[1]
    spectra = np.fft.rfft(frames, 2 * length)
    products = spectra.real**2 + spectra.imag**2
    return np.fft.irfft(products)[:, : length // 2 + 1]
