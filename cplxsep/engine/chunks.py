"""Cuts a signal into overlapping chunks and joins separated chunks by cross-fades. Numpy only.

Both halves keep constant state, so that a signal of any length can pass through block by block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cplxsep.errors import UsageError


class Chunk(NamedTuple):
    """A piece (S,) of the signal and the position of its first sample."""

    start: int
    samples: np.ndarray


@dataclass(frozen=True)
class ChunkPlan:
    """Length of a chunk and of the overlap with its neighbour, in samples."""

    length: int
    overlap: int

    @property
    def hop(self) -> int:
        """Samples from the start of one chunk to the start of the next."""
        return self.length - self.overlap

    @classmethod
    def of(cls, seconds: float, overlap: float, sample_rate: int) -> "ChunkPlan":
        """Plan from a length in seconds and an overlap as a fraction of it. Raises UsageError."""
        # Beyond one half a chunk would meet more than its two neighbours.
        if not 0 <= overlap <= 0.5:
            raise UsageError(f"overlap {overlap} is not between 0 and 0.5")
        if not 0.1 <= seconds <= 3600:
            raise UsageError(f"chunk {seconds} is not between 0.1 and 3600 seconds")
        length = round(seconds * sample_rate)
        return cls(length, round(overlap * length))


class Cutter:
    """Gathers blocks (S,) into chunks: one every hop, and a last one that ends with the signal.

    All chunks have full length, except the only chunk of a signal shorter than that.
    """

    def __init__(self, plan: ChunkPlan) -> None:
        self._plan = plan
        self._held = np.zeros(0, np.float32)
        self._origin = 0  # position of the first sample held
        self._next = 0  # start of the next regular chunk

    def push(self, block: np.ndarray) -> Iterator[Chunk]:
        """Chunks that the block (S,) completes. Exhaust it before the next push."""
        plan = self._plan
        # Copied: its owner may fill the same memory with the next one.
        self._held = np.concatenate([self._held, block]) if self._held.size else block.copy()
        while self._next + plan.length <= self._end:
            yield self._cut(self._next, self._next + plan.length)
            self._next += plan.hop
        # The last chunk starts after the latest regular one, so that is all it can need.
        keep = max(self._next - plan.hop, 0)
        self._held = self._held[keep - self._origin :].copy()
        self._origin = keep

    def finish(self) -> Iterator[Chunk]:
        """The chunk that reaches the end of the signal, if none has."""
        covered = self._next - self._plan.hop + self._plan.length if self._next else 0
        if self._end > covered:
            yield self._cut(max(self._end - self._plan.length, 0), self._end)

    @property
    def _end(self) -> int:
        return self._origin + self._held.size

    def _cut(self, start: int, end: int) -> Chunk:
        return Chunk(start, self._held[start - self._origin : end - self._origin])


class Joiner:
    """Joins separated chunks (N, S) with a constant-gain cross-fade."""

    def __init__(self, plan: ChunkPlan) -> None:
        steps = (np.arange(plan.overlap) + 0.5) / max(plan.overlap, 1)
        self._fade = (np.sin(0.5 * np.pi * steps) ** 2).astype(np.float32)
        self._pending: np.ndarray | None = None  # (N, overlap): the end of the latest chunk
        self._position = 0  # of the first pending sample

    def add(self, start: int, sources: np.ndarray) -> np.ndarray:
        """Finished samples (N, S) once the chunk that begins at `start` has come."""
        begin, blended = 0, sources[:, :0]
        if self._pending is not None:
            old = self._pending
            begin = self._position - start
            new = sources[:, begin : begin + old.shape[1]]
            # This form, unlike w * a + (1 - w) * b, returns equal samples unchanged.
            blended = old + self._fade[: old.shape[1]] * (new - old)
            begin += old.shape[1]
        # The last chunk may overlap by more: what is blended already is not held back again.
        hold = max(sources.shape[1] - self._fade.size, begin)
        self._pending = sources[:, hold:].copy()
        self._position = start + hold
        return np.concatenate([blended, sources[:, begin:hold]], axis=1)

    def finish(self) -> np.ndarray | None:
        """The samples (N, S) held back for a next chunk; None if there was no chunk."""
        return self._pending
