"""Conversations: where one talks alone, where several do, and how far the lone one is kept apart.

Signals are (N, S), one row a talker; estimates come in the order of the references.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from cplxsep.audio.level import frame_of, from_db, rms

_RANGE_DB = -40.0  # a frame is speech down to this far under the loud tenth of all frames
_LEAST = 1e-10  # of the other's energy: 100 dB
_GUARD_SECONDS = 0.2  # around the speech of others, where nobody counts as alone

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Talking:
    """Frames of 32 ms (N, T) in which each talker speaks, and speaks alone."""

    frame: int
    speaks: Mask
    alone: Mask

    @property
    def together(self) -> Mask:
        """Frames (T,) in which several speak."""
        return np.asarray(self.speaks.sum(axis=0) > 1)

    def cut(self, signals: np.ndarray, frames: Mask) -> np.ndarray:
        """Signals (..., S) in some of the frames (T,), end to end: (..., S')."""
        whole = signals[..., : len(frames) * self.frame]
        framed = whole.reshape(*whole.shape[:-1], len(frames), self.frame)
        return framed[..., frames, :].reshape(*whole.shape[:-1], -1)


def talking(references: np.ndarray, sample_rate: int) -> Talking:
    """Who of (N, S) speaks when. Silent references never do."""
    frame = frame_of(sample_rate)
    count = references.shape[1] // frame
    levels = rms(references[:, : count * frame].reshape(len(references), count, frame))
    loud = np.quantile(levels.max(axis=0), 0.9) if count else 0.0
    speaks = levels > loud * from_db(_RANGE_DB)
    guard = round(_GUARD_SECONDS * sample_rate / frame)
    padded = np.pad(speaks, [(0, 0), (guard, guard)])
    around = sliding_window_view(padded, 2 * guard + 1, axis=1).any(axis=-1) if count else speaks
    others = around.sum(axis=0) - around.astype(int)
    return Talking(frame, speaks, np.asarray(speaks & (others < 1)))


def isolation(
    references: np.ndarray, estimates: np.ndarray, sample_rate: int
) -> list[float | None]:
    """How far each talker of (N, S), where alone, is down in the other outputs, in dB.

    The energy of the talker's own output over that of all others in the same frames, between -100
    and 100 dB; None for those who are never alone. What noise or a room leaves in the others counts
    as well.
    """
    who = talking(references, sample_rate)
    found: list[float | None] = []
    for talker, frames in enumerate(who.alone):
        if not frames.any():
            found.append(None)
            continue
        energies = np.square(who.cut(estimates, frames), dtype=np.float64).sum(axis=1)
        own, others = energies[talker], np.delete(energies, talker).sum()
        found.append(_db(own + _LEAST * others, others + _LEAST * own))
    return found


def _db(one: float, other: float) -> float:
    return 10 * float(np.log10(one / other)) if other else 0.0
