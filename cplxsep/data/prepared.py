"""Training examples from folders of prepared mixtures, SPLIT/{mix,s1,s2,...}/NAME.wav."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from cplxsep.data.folders import MixtureFolder
from cplxsep.data.plan import generator
from cplxsep.errors import UsageError

Example = tuple[np.ndarray, np.ndarray]


class PreparedMixtures:
    """Endless examples from one split: all its mixtures in a new order in every epoch.

    Args:
        folder: with one sub-folder for each split.
        split: name of the sub-folder, as tr or cv.
        sample_rate: in Hz, that the files must have.
        sources: number N of talkers that the mixtures must have.
        seconds: length of a piece cut at random, zeros after a shorter mixture; 0: mixtures
            complete, each of its own length.

    Raises:
        UsageError: there is no such folder or split, or its mixtures have another rate, or not
            that many sources.
        InputError: the split or its first mixture cannot be read.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        *,
        sample_rate: int,
        sources: int,
        seconds: float,
        seed: int = 0,
    ) -> None:
        if not folder.is_dir():
            raise UsageError(
                f"there is no folder {folder}: set data.mixtures to that of your prepared mixtures"
            )
        splits = sorted(item.parent.name for item in folder.glob("*/mix"))
        if split not in splits:
            known = f"it has: {', '.join(splits)}" if splits else "it has no folder SPLIT/mix"
            raise UsageError(f"{folder} has no split '{split}'; {known}")
        self._mixtures = MixtureFolder(folder / split)
        if self._mixtures.sources != sources:
            raise UsageError(
                f"{self._mixtures.path} has mixtures of {self._mixtures.sources} sources, "
                f"model.sources is {sources}"
            )
        self._rate = sample_rate
        self._samples = round(seconds * sample_rate)
        self._seed = seed
        self._order = lru_cache(maxsize=2)(self._shuffled)
        self._load(0)

    def example(self, index: int) -> Example:
        """Mixture (S,) and sources (N, S), float32; InputError: they cannot be read."""
        epoch, position = divmod(index, len(self._mixtures))
        mixture, sources = self._load(int(self._order(epoch)[position]))
        if not self._samples:
            return mixture, sources
        spare = len(mixture) - self._samples
        if spare <= 0:
            return _padded(mixture, self._samples), _padded(sources, self._samples)
        start = int(generator(self._seed, index).integers(spare + 1))
        cut = slice(start, start + self._samples)
        return mixture[cut], sources[:, cut]

    def _load(self, position: int) -> Example:
        name = self._mixtures.names[position]
        mixture, sources, rate = self._mixtures.load(name)
        if rate != self._rate:
            raise UsageError(
                f"{self._mixtures.files(name)[0]} has {rate} Hz, model.sample_rate is {self._rate}"
            )
        return mixture, sources

    def _shuffled(self, epoch: int) -> np.ndarray:
        # The key is longer than that of a crop, so that the two never share numbers.
        return generator(self._seed, epoch, 0).permutation(len(self._mixtures))


def stack(examples: Sequence[Example]) -> Example:
    """Mixtures (B, S) and sources (B, N, S); zeros after those shorter than the longest."""
    samples = max(len(mixture) for mixture, _ in examples)
    mixtures = np.stack([_padded(mixture, samples) for mixture, _ in examples])
    return mixtures, np.stack([_padded(sources, samples) for _, sources in examples])


def _padded(audio: np.ndarray, samples: int) -> np.ndarray:
    """Audio (..., S) with zeros at its end."""
    missing = samples - audio.shape[-1]
    return np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, missing)]) if missing else audio
