"""Levels: RMS, RMS of the active frames, decibels, one gain against clipping."""

import numpy as np

FRAME_SECONDS = 0.032
ACTIVE_RANGE_DB = 40.0


def db(ratio: float) -> float:
    """Decibels of an amplitude ratio; -inf for 0."""
    return 20.0 * float(np.log10(ratio)) if ratio > 0 else -np.inf


def from_db(decibels: float) -> float:
    """Amplitude ratio of a level in dB."""
    return float(10.0 ** (decibels / 20.0))


def rms(audio: np.ndarray, axis: int = -1) -> np.ndarray:
    """Root mean square over one axis, float64; 0 where the axis is empty."""
    if audio.shape[axis] == 0:
        return np.zeros(np.delete(audio.shape, axis))
    return np.sqrt(np.mean(np.square(audio, dtype=np.float64), axis=axis))


def active_rms(audio: np.ndarray, sample_rate: int) -> float:
    """RMS of (S,) over the frames of 32 ms whose level is within 40 dB of the loudest frame's."""
    frame = frame_of(sample_rate)
    whole = audio.shape[-1] // frame * frame
    found = active_level(rms(audio[:whole].reshape(-1, frame)))
    return found or float(rms(audio))  # all of the sound is after the last whole frame


def active_level(levels: np.ndarray) -> float:
    """The level of the frames that are active, of levels (frames,); 0 for silence."""
    powers = levels**2
    active = powers >= powers.max(initial=0.0) * from_db(-ACTIVE_RANGE_DB) ** 2
    return float(np.sqrt(powers[active].mean())) if powers.any() else 0.0


def frame_of(sample_rate: int) -> int:
    """Samples of a frame in which levels are measured."""
    return max(round(FRAME_SECONDS * sample_rate), 1)


def common_gain(audio: np.ndarray, peak: float = 1.0) -> float:
    """The one gain, at most 1, that keeps all of `audio` within +-`peak`."""
    highest = float(np.max(np.abs(audio))) if audio.size else 0.0
    # A hair less: the rounded product must not land above the peak.
    return 1.0 if highest <= peak else peak / highest * (1.0 - 1e-6)


_CANCELLED = 0.01  # of the power that channels without anything in common have


class Mean:
    """The mean of channels, block by block; knows whether they cancel each other out."""

    def __init__(self) -> None:
        self._own = self._mean = 0.0

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """The mean (S,) of a block (channels, S)."""
        mean = block.mean(axis=0, dtype=np.float64).astype(np.float32)  # a sum may overflow
        if len(block) > 1:
            self._own += float(np.square(block, dtype=np.float64).mean(axis=0).sum()) / len(block)
            self._mean += float(np.square(mean, dtype=np.float64).sum())
        return mean

    @property
    def cancels(self) -> bool:
        """Whether of all blocks almost nothing is left, as where one of two is turned round."""
        return self._mean < _CANCELLED * self._own
