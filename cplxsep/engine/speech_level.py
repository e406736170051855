"""Which frames of sources are speech, by the levels of the recording so far. Numpy only."""

import numpy as np

# A frame is speech when it is at most 25 dB below the recording's loud frames and 6 dB above its
# quiet ones, the background; the second only down to 10 dB, for there are steady sounds too.
QUIET, BACKGROUND, STEADY = 10**-2.5, 10**0.6, 10**-1.0


class SpeechLevel:
    """What is speech in a recording that comes chunk by chunk.

    loud: power of its loud frames.
    """

    def __init__(self) -> None:
        self.loud = 0.0
        self._background = np.inf  # power of its quiet frames

    def adapt(self, powers: np.ndarray) -> None:
        """Take the next chunk's powers (N, T). Earlier ones count less: a level may drift."""
        loudest = powers.max(axis=0)
        self.loud = max(_quantile(loudest, 0.95), 0.8 * self.loud)
        # Digital silence is no background.
        audible = loudest[loudest > 1e-8 * self.loud]
        if audible.size:
            quiet = _quantile(audible, 0.1)
            self._background = min(quiet, 1.25 * self._background)

    def speaks(self, powers: np.ndarray) -> np.ndarray:
        """In which frames (N, T) each source speaks."""
        background = min(BACKGROUND * self._background, STEADY * self.loud)
        return powers > max(QUIET * self.loud, background)

    def spoken(self, powers: np.ndarray) -> np.ndarray:
        """In which frames (T,) anybody speaks."""
        return np.asarray(self.speaks(powers).any(axis=0))


def _quantile(values: np.ndarray, share: float) -> float:
    """As np.quantile, which takes ten times as long for so few values."""
    ordered = np.sort(values)
    low, part = divmod(share * (ordered.size - 1), 1)
    below, above = ordered[int(low)], ordered[min(int(low) + 1, ordered.size - 1)]
    return float(below + part * (above - below))
