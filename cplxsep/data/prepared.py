"""Training examples from folders of prepared mixtures, SPLIT/{mix,s1,s2,...}/NAME.wav."""

from collections.abc import Callable
from pathlib import Path

from cplxsep.data.folders import MixtureFolder
from cplxsep.data.layout import kinds
from cplxsep.data.rounds import Example, Rounds
from cplxsep.errors import UsageError


class PreparedMixtures(Rounds):
    """Endless examples from one split: all its mixtures in a new order in every epoch.

    Args:
        folder: with one sub-folder for each split.
        split: name of the sub-folder, as tr or cv.
        mix: name of the mixtures' folder in it, where there are several.
        sample_rate: in Hz, that the files must have.
        sources: number N of talkers that the mixtures must have.
        seconds: length of a piece cut at random, zeros after a shorter mixture; 0: mixtures
            complete, each of its own length.
        silent: as for `Rounds`; of conversations pieces are taken as they fall.

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
        mix: str = "",
        sample_rate: int,
        sources: int,
        seconds: float,
        seed: int = 0,
        silent: Callable[[], None] | None = None,
    ) -> None:
        if not folder.is_dir():
            raise UsageError(
                f"there is no folder {folder}: set data.mixtures to that of your prepared mixtures"
            )
        splits = sorted(item.name for item in folder.iterdir() if kinds(item))
        if split not in splits:
            known = f"it has: {', '.join(splits)}" if splits else "it has no folder SPLIT/mix"
            raise UsageError(f"{folder} has no split '{split}'; {known}")
        there = kinds(folder / split)
        if mix and mix not in there:  # another folder, as that of a talker, is no mixture
            known = ", ".join(there)
            raise UsageError(
                f"{folder / split} has no mixtures data.mix = '{mix}'; it has: {known}"
            )
        self._mixtures = MixtureFolder(folder / split, mix)
        if self._mixtures.sources != sources:
            raise UsageError(
                f"{self._mixtures.path} has mixtures of {self._mixtures.sources} sources, "
                f"model.sources is {sources}"
            )
        silent = None if self.conversations else silent
        super().__init__(len(self._mixtures), round(seconds * sample_rate), seed, silent)
        self._rate = sample_rate
        self.load(0)

    @property
    def conversations(self) -> bool:
        """Whether they are conversations, in which some talkers say nothing for long."""
        return self._mixtures.conversations

    def load(self, position: int) -> Example:
        name = self._mixtures.names[position]
        mixture, sources, rate = self._mixtures.load(name)
        if rate != self._rate:
            raise UsageError(
                f"{self._mixtures.files(name)[0]} has {rate} Hz, model.sample_rate is {self._rate}"
            )
        return mixture, sources
