"""A Wiener filter with decision-directed SNR: what enhancement could do before networks.

The a priori SNR is that of Ephraim and Malah (1984), the noise that of Gerkmann and Hendriks
(2012): each bin's noise follows the signal as far as no speech is likely to be there.
"""

import numpy as np
from scipy.signal import istft, stft

# Chosen on the valid split, to make the baseline a strong one.
WINDOW_SECONDS, OVERLAP = 0.048, 0.75
SMOOTHING = 0.98  # of the a priori SNR
LEAST_SNR = 0.1  # a priori; keeps the residual noise even, and 21 dB down
SPEECH_SNR = 10.0  # that speech is expected to have where it is present
NOISE_SMOOTHING, PRESENCE_SMOOTHING = 0.9, 0.9
FIRST_SECONDS, QUANTILE = 1.0, 0.2  # from which the noise starts
_TINY = 1e-20


def wiener(noisy: np.ndarray, sample_rate: int) -> np.ndarray:
    """Enhanced speech (S,), float32, of noisy speech (S,)."""
    window = round(WINDOW_SECONDS * sample_rate)
    lap = round(OVERLAP * window)
    # All of float64's range: this is about quiet parts.
    *_, spectrum = stft(noisy.astype(np.float64), nperseg=window, noverlap=lap)
    frames = np.abs(spectrum.T) ** 2
    gains = np.empty_like(frames)
    noises = _Noise(frames[: max(round(FIRST_SECONDS * sample_rate / (window - lap)), 1)])
    before = None  # a priori SNR that the frame before had, as it came out
    for power, gain in zip(frames, gains, strict=True):
        ratio = power / noises.follow(power)
        instant = np.maximum(ratio - 1, 0)
        prior = instant if before is None else SMOOTHING * before + (1 - SMOOTHING) * instant
        prior = np.maximum(prior, LEAST_SNR)
        gain[:] = prior / (1 + prior)
        before = gain**2 * ratio
    _, enhanced = istft(spectrum * gains.T, nperseg=window, noverlap=lap)
    return enhanced[: noisy.size].astype(np.float32)


class _Noise:
    """Noise power of each bin, from frames (T, F) with which the signal begins."""

    def __init__(self, first: np.ndarray) -> None:
        # Powers of noise are exponentially distributed: from a low quantile to their mean. Speech
        # that is there from the start does not reach the quietest fifth.
        quiet = np.quantile(first, QUANTILE, axis=0) / -np.log(1 - QUANTILE)
        self._power = np.maximum(quiet, _TINY)
        self._presence = np.full_like(quiet, 0.5)

    def follow(self, power: np.ndarray) -> np.ndarray:
        """Noise power (F,) once a frame (F,) is heard."""
        evidence = power / self._power * SPEECH_SNR / (1 + SPEECH_SNR)
        present = 1 / (1 + (1 + SPEECH_SNR) * np.exp(-np.minimum(evidence, 200)))
        smooth = PRESENCE_SMOOTHING * self._presence + (1 - PRESENCE_SMOOTHING) * present
        self._presence = smooth
        # Where "speech" never ends it is noise that has become louder.
        present = np.where(smooth > 0.99, np.minimum(present, 0.99), present)
        heard = present * self._power + (1 - present) * power
        self._power = NOISE_SMOOTHING * self._power + (1 - NOISE_SMOOTHING) * heard
        self._power = np.maximum(self._power, _TINY)
        return self._power
