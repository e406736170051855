"""A fixed set of mixtures as endless training examples."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from cplxsep.audio.resample import fit
from cplxsep.data.plan import generator

Example = tuple[np.ndarray, np.ndarray]
_HEARD = 8  # a talker sounds in a piece where one sample of so many is not zero


class Rounds(ABC):
    """All mixtures of a set, in a new order in every round; example i depends on seed and i alone.

    Args:
        count: number of mixtures.
        samples: length of a piece cut at random, zeros after a shorter mixture; 0: mixtures
            complete, each of its own length.
        silent: None takes pieces as they fall. Else each is one in which all talkers sound, where
            there is such, and this is called for one in which somebody does not.
    """

    def __init__(
        self, count: int, samples: int, seed: int, silent: Callable[[], None] | None = None
    ) -> None:
        self._count = count
        self._samples = samples
        self._seed = seed
        self._silent = silent
        self._order = lru_cache(maxsize=2)(self._shuffled)

    @abstractmethod
    def load(self, position: int) -> Example:
        """Mixture (S,) and sources (N, S), float32, of a position in the set."""

    def __len__(self) -> int:
        return self._count

    def example(self, index: int) -> Example:
        """Mixture (S,) and sources (N, S), float32; InputError: they cannot be read."""
        turn, position = divmod(index, self._count)
        mixture, sources = self._cut(index, *self.load(int(self._order(turn)[position])))
        if self._silent and not sources.any(axis=1).all():
            self._silent()
        return mixture, sources

    def _cut(self, index: int, mixture: np.ndarray, sources: np.ndarray) -> Example:
        """The piece of a mixture that example `index` is."""
        if not self._samples:
            return mixture, sources
        spare = len(mixture) - self._samples
        if spare <= 0:
            return fit(mixture, self._samples), fit(sources, self._samples)
        rng = generator(self._seed, index)
        start = int(rng.integers(spare + 1))
        if self._silent:
            start = _where_all_sound(sources, start, self._samples, rng)
        cut = slice(start, start + self._samples)
        return mixture[cut], sources[:, cut]

    def _shuffled(self, turn: int) -> np.ndarray:
        # The key is longer than that of a crop, so that the two never share numbers.
        return generator(self._seed, turn, 0).permutation(self._count)


def _where_all_sound(
    sources: np.ndarray, start: int, samples: int, rng: np.random.Generator
) -> int:
    """`start`, or another where all of (N, S) sound, or the one heard least sounds most."""
    least = samples // _HEARD
    if np.count_nonzero(sources[:, start : start + samples], axis=1).min() >= least:
        return start
    sums = np.pad(np.cumsum(sources != 0, axis=1), [(0, 0), (1, 0)])
    heard = (sums[:, samples:] - sums[:, :-samples]).min(axis=0)  # by start
    return int(rng.choice(np.flatnonzero(heard >= min(least, heard.max()))))


def stack(examples: Sequence[Example]) -> Example:
    """Mixtures (B, S) and sources (B, N, S); zeros after those shorter than the longest."""
    samples = max(len(mixture) for mixture, _ in examples)
    mixtures = np.stack([fit(mixture, samples) for mixture, _ in examples])
    return mixtures, np.stack([fit(sources, samples) for _, sources in examples])
