"""A fixed set of mixtures as endless training examples."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from cplxsep.audio.resample import fit
from cplxsep.data.plan import generator

Example = tuple[np.ndarray, np.ndarray]


class Rounds(ABC):
    """All mixtures of a set, in a new order in every round; example i depends on seed and i alone.

    Args:
        count: number of mixtures.
        samples: length of a piece cut at random, zeros after a shorter mixture; 0: mixtures
            complete, each of its own length.
    """

    def __init__(self, count: int, samples: int, seed: int) -> None:
        self._count = count
        self._samples = samples
        self._seed = seed
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @abstractmethod
    def load(self, position: int) -> Example:
        """Mixture (S,) and sources (N, S), float32, of a position in the set."""

    def __len__(self) -> int:
        return self._count

    def example(self, index: int) -> Example:
        """Mixture (S,) and sources (N, S), float32; InputError: they cannot be read."""
        turn, position = divmod(index, self._count)
        mixture, sources = self.load(int(self._order(turn)[position]))
        if not self._samples:
            return mixture, sources
        spare = len(mixture) - self._samples
        if spare <= 0:
            return fit(mixture, self._samples), fit(sources, self._samples)
        start = int(generator(self._seed, index).integers(spare + 1))
        cut = slice(start, start + self._samples)
        return mixture[cut], sources[:, cut]

    def _shuffled(self, turn: int) -> np.ndarray:
        # The key is longer than that of a crop, so that the two never share numbers.
        return generator(self._seed, turn, 0).permutation(self._count)


def stack(examples: Sequence[Example]) -> Example:
    """Mixtures (B, S) and sources (B, N, S); zeros after those shorter than the longest."""
    samples = max(len(mixture) for mixture, _ in examples)
    mixtures = np.stack([fit(mixture, samples) for mixture, _ in examples])
    return mixtures, np.stack([fit(sources, samples) for _, sources in examples])
