"""What no talker says: an offset, a drift, a rumble below hearing."""

import math
from functools import lru_cache

import numpy as np

WIDTH = 0.05  # seconds: half of 9 Hz goes, of 3 Hz nearly all, of a voice less than a thousandth
_PASSES = 3
# Hz, of the filter that sees no future: higher ones would shift the phases of low voices.
_CORNER = 1.0


def without_offset(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """A signal (S,) less its moving average, taken three times over 50 ms; float32.

    Delays nothing, and near its ends looks at what is there, so a constant goes without a trace.
    """
    width = min(round(WIDTH * sample_rate), signal.size)
    half, size = width // 2, signal.size
    counts = _counts(size, half)
    # From its first sample on, for a constant to become zero and not what rounding leaves of it.
    whole = signal.astype(np.float64)
    whole -= signal[0]
    # Sums up to each sample, with nothing before the first and all behind the last.
    sums = np.zeros(size + 2 * half + 1)
    slow = whole
    for _ in range(_PASSES):
        np.cumsum(slow, out=sums[half + 1 : half + 1 + size])
        sums[half + 1 + size :] = sums[half + size]
        slow = (sums[2 * half + 1 :] - sums[:size]) / counts
    whole -= slow
    return whole.astype(np.float32)


@lru_cache(maxsize=2)  # all chunks of a recording but one are of one length
def _counts(size: int, half: int) -> np.ndarray:
    """How many of `size` samples are at most `half` away from each, (size,)."""
    at = np.arange(size)
    return (np.minimum(at + half + 1, size) - np.maximum(at - half, 0)).astype(np.float64)


class OffsetFilter:
    """Takes the offset off a signal that comes in blocks, by a filter that hears only the past."""

    def __init__(self, sample_rate: int) -> None:
        self._pole = math.exp(-2 * math.pi * _CORNER / sample_rate)
        self._state: np.ndarray | None = None

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """The next block (S,), float32. A constant is zero from the first sample on."""
        # Loading it takes longer than separating a short file, and few models need it.
        from scipy.signal import lfilter

        if self._state is None:
            self._state = -block[:1].astype(np.float64)
        coefficients = [1.0, -1.0], [1.0, -self._pole]
        found, self._state = lfilter(*coefficients, block.astype(np.float64), zi=self._state)
        return found.astype(np.float32)
