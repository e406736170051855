"""What two neighbouring chunks have of the same time, and how well their sources agree in it."""

from dataclasses import dataclass

import numpy as np

from cplxsep.engine.speech_level import SpeechLevel
from cplxsep.metrics.assignment import best_permutation

ACTIVE_FRAMES = 5  # frames of speech (0.16 s) that an overlap needs to count in full
CLEAR_MATCH = 0.25  # lead, of two talkers, from which their order is as sure as can be
CLEAR = 8.0  # nats by which it then leads


@dataclass(frozen=True)
class Overlap:
    """Frames that a chunk shares with the one before.

    begin: where they begin in the chunk before, in frames. products: inner products (T, N, N) of
    source i there and source j here. energies (2, T): of all sources there, and here. spoken: where
    somebody speaks (T,) in both.
    """

    begin: int
    products: np.ndarray
    energies: np.ndarray
    spoken: np.ndarray

    @classmethod
    def between(
        cls, before: np.ndarray, begin: int, sources: np.ndarray, frame: int, level: SpeechLevel
    ) -> "Overlap":
        """Of the chunk before (N, S), from its sample `begin` on, and sources (N, S')."""
        shared = before[:, begin:]
        old, new = (_in_frames(rows, frame) for rows in (shared, sources[:, : shared.shape[1]]))
        powers = [np.einsum("nts,nts->nt", rows, rows) for rows in (old, new)]
        spoken = [level.spoken(each / frame) for each in powers]
        return cls(
            begin // frame,
            old.swapaxes(0, 1) @ new.transpose(1, 2, 0),
            np.stack([each.sum(axis=0) for each in powers]),
            spoken[0] & spoken[1],
        )

    def match(self, there: tuple[int, int], here: tuple[int, int]) -> np.ndarray:
        """How well source i of a passage agrees with source j of one here (N, N), in nats.

        From a frame of the chunk before to one, and of this chunk. Inner products as a fraction of
        all energy, not correlations of each pair: energy must weigh, or faint leakage, which
        correlates with its origin perfectly, would count as much as the talker.
        """
        first, last = here
        at = first + np.flatnonzero(self.spoken[first:last])
        at = at[(there[0] <= self.begin + at) & (self.begin + at < there[1])]
        energy = np.sqrt(self.energies[:, at].sum(axis=1).prod())
        if energy == 0:
            return np.zeros(self.products.shape[1:])
        match = self.products[at].sum(axis=0) / energy
        sure = CLEAR * min(1.0, len(at) / ACTIVE_FRAMES)
        # Two of many talkers have their share of the energy.
        clear = CLEAR_MATCH * 2 / len(match)
        return match * (sure / max(_largest_lead(match), clear))


def _largest_lead(match: np.ndarray) -> float:
    """By how much the order that agrees best (N, N) leads over two talkers exchanged, at most."""
    there = match[:, best_permutation(match)]
    own = np.diag(there)
    return float((own[:, None] + own - there - there.T).max())


def _in_frames(sources: np.ndarray, frame: int) -> np.ndarray:
    """Sources (N, S) in whole frames (N, T, frame), float64."""
    count = sources.shape[1] // frame
    return sources[:, : count * frame].astype(np.float64).reshape(len(sources), count, frame)
