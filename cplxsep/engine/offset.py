"""What no talker says: an offset, a drift, a rumble below hearing. Numpy only."""

import numpy as np

WIDTH = 0.05  # seconds: half of 9 Hz goes, of 3 Hz nearly all, of a voice less than a thousandth
_PASSES = 3


def without_offset(signal: np.ndarray, sample_rate: int) -> np.ndarray:
    """A signal (S,) less its moving average, taken three times over 50 ms; float32.

    Delays nothing, and near its ends looks at what is there, so a constant goes without a trace.
    """
    width = min(round(WIDTH * sample_rate), signal.size)
    # From its first sample on, for a constant to become zero and not what rounding leaves of it.
    whole = signal.astype(np.float64) - signal[0]
    at = np.arange(signal.size)
    begin, end = np.maximum(at - width // 2, 0), np.minimum(at + width // 2 + 1, signal.size)
    slow = whole
    for _ in range(_PASSES):
        sums = np.concatenate([[0.0], np.cumsum(slow)])
        slow = (sums[end] - sums[begin]) / (end - begin)
    return (whole - slow).astype(np.float32)
