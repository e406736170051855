"""What no talker says: an offset, a drift, a rumble below hearing."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

WIDTH = 0.05  # seconds: half of 9 Hz goes, of 3 Hz nearly all, of a voice less than a thousandth
_PASSES = 3
# Hz, of the filter that sees no future: higher ones would shift the phases of low voices.
_CORNER = 1.0


def without_offset(signals: Tensor, sample_rate: int) -> Tensor:
    """Signals (B, S) less their moving averages, taken three times over 50 ms; float32.

    Delays nothing, and near its ends looks at what is there, so a constant goes without a trace.
    """
    if signals.is_cuda and len(signals) == 1:
        # Sums along one row alone are made in parts whose order changes from run to run.
        return without_offset(signals.expand(2, -1), sample_rate)[:1]
    size = signals.shape[1]
    half = min(round(WIDTH * sample_rate), size) // 2
    counts = _counts(size, half, signals.device)
    # From its first sample on, for a constant to become zero and not what rounding leaves of it.
    whole = signals.double() - signals[:, :1]
    # Sums up to each sample, with nothing before the first and all behind the last.
    sums = whole.new_zeros(len(whole), size + 2 * half + 1)
    slow = whole
    for _ in range(_PASSES):
        torch.cumsum(slow, 1, out=sums[:, half + 1 : half + 1 + size])
        sums[:, half + 1 + size :] = sums[:, half + size, None]
        slow = (sums[:, 2 * half + 1 :] - sums[:, :size]).div_(counts)
    return (whole - slow).float()


@lru_cache(maxsize=8)  # all chunks of a recording but one are of one length
def _counts(size: int, half: int, device: torch.device) -> Tensor:
    """How many of `size` samples are at most `half` away from each, float64 (size,)."""
    at = torch.arange(size, device=device)
    return ((at + half + 1).clamp(max=size) - (at - half).clamp(min=0)).double()


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
