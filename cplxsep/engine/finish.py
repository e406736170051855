"""The last touch to separated blocks: what else the input holds, spread, kept or given beside."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

# What becomes of the input's band above the model's: attenuated as the highest band that the
# network heard, passed through as it is, or dropped.
Above = Literal["follow", "keep", "drop"]
FRAME = 0.032  # seconds
TOP = 0.75  # the highest band begins at this fraction of the model's
_FLOOR = 1e-9  # of the loudest frame's power: below, a ratio says nothing


@dataclass(frozen=True)
class Finish:
    """What is done with what the sources leave of the input.

    sum_to_mix: spread it equally over the sources. rest: give it as one more row.
    above: what becomes of the input's band above the model's; with one source only.
    """

    sum_to_mix: bool = False
    rest: bool = False
    above: Above = "drop"

    @property
    def needs_input(self) -> bool:
        """Whether `apply` has to see the input."""
        return self.sum_to_mix or self.rest or self.above != "drop"

    def guides(self, chunk: np.ndarray, sources: np.ndarray, sample_rate: int) -> np.ndarray:
        """Rows (K, S) that must go the same way as the sources (N, S) of a chunk (S,)."""
        if self.above == "drop":
            return sources[:0]
        rows = [chunk]
        if self.above == "follow":
            rows.append(follow_gain(chunk, sources[0], sample_rate))
        return np.stack(rows)

    def apply(self, rows: np.ndarray, sources: int, heard: np.ndarray) -> np.ndarray:
        """Finished block (N or N+1, S) from sources and guides, with the input (S,) there."""
        part, guides = rows[:sources], rows[sources:]
        if len(guides):
            # What resampling down and up again has taken from the input is its upper band.
            above = heard - guides[0]
            part = part + (above * guides[1].clip(0, 1) if len(guides) > 1 else above)
        if self.sum_to_mix:
            part = with_shares(part, heard - part.sum(axis=0))
        if self.rest:
            part = np.concatenate([part, (heard - part.sum(axis=0))[None]])
        return part


def with_shares(sources: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Sources (N, S), each with an equal part of what they leave of the input (S,)."""
    return sources + rest / len(sources)


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
