"""Mixtures that are drawn from a seed: a number of them, or about so many hours."""

import os
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from cplxsep.data.manifest import Utterance
from cplxsep.data.plan import Planner, Range, generator
from cplxsep.data.recipes.preparation import Rendered, Task
from cplxsep.errors import InputError, UsageError

_LONGEST_NAME = 240  # bytes, with what is added to it below any file system's limit
P = TypeVar("P")


def check_amount(count: int | None, hours: float | None, splits: list[str]) -> None:
    """UsageError: not exactly one of the two, or nothing to do."""
    if (count is None) == (hours is None):
        raise UsageError("give either a count of mixtures or hours, for each split")
    if not (count or hours or 0) > 0 or not splits:
        raise UsageError("nothing to prepare: give a count or hours above 0, and a split")


@dataclass(eq=False)
class DrawnRecipe(ABC, Generic[P]):
    """A recipe whose mixture i depends on the seed, the split, i and the good recordings alone."""

    folder: Path
    settings: Any  # a seed, and a count or hours, among others
    _names: set[str] = field(default_factory=set, init=False)
    _planned: list[float] = field(default_factory=list, init=False)  # seconds of each mixture

    @abstractmethod
    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], P]:
        """A function that draws mixtures from what is not bad. InputError: too little is left."""

    @abstractmethod
    def seconds(self, plan: P) -> float:
        """How long the mixture will be, by what the manifest says."""

    @abstractmethod
    def name(self, plan: P) -> str:
        """The mixture's name, which no other has."""

    @abstractmethod
    def render(self, task: Task[P]) -> Rendered:
        """Make one mixture; what cannot be used is given under the path of its file."""

    def first(self) -> list[Task[P]]:
        """As many mixtures as asked for; hours go by the lengths that the manifest gives."""
        draw, count = self._draw(set(), 0), self.settings.count
        if count is not None:
            return [self._task(index, draw(index)) for index in range(count)]
        return self._up_to_hours(draw)

    def again(self, indices: list[int], bad: set[str], turn: int) -> list[Task[P]]:
        """The same mixtures drawn anew, without what is bad; more where hours come short of it."""
        draw = self._draw(bad, turn)
        plans = {index: draw(index) for index in indices}
        tasks = [self._task(index, plan) for index, plan in plans.items()]
        if self.settings.count is not None:
            return tasks
        for index, plan in plans.items():
            self._planned[index] = self.seconds(plan)
        return tasks + self._up_to_hours(draw)

    def _task(self, index: int, plan: P) -> Task[P]:
        return Task(index, self.name(plan), plan)

    def _up_to_hours(self, draw: Callable[[int], P]) -> list[Task[P]]:
        tasks: list[Task[P]] = []
        planned, wanted = sum(self._planned), (self.settings.hours or 0.0) * 3600
        while planned < wanted:
            plan = draw(len(self._planned))
            tasks.append(self._task(len(self._planned), plan))
            self._planned.append(self.seconds(plan))
            planned += self._planned[-1]
        return tasks

    def _draw(self, bad: set[str], turn: int) -> Callable[[int], P]:
        draw = self.draws(bad)
        split = zlib.crc32(self.folder.name.encode())
        return lambda index: draw(generator(self.settings.seed, split, index, turn))

    def planner(
        self, own: list[Utterance], bad: set[str], *, sources: int, snr: Range
    ) -> tuple[Planner, list[int]]:
        """What draws talkers from recordings that are not bad, and the positions of these."""
        good = [at for at, item in enumerate(own) if str(item.path) not in bad]
        try:
            return Planner([own[at] for at in good], sources=sources, snr=snr), good
        except InputError as error:
            raise InputError(f"{self.folder}: without the bad utterances, {error}") from error

    def unique(self, parts: list[tuple[str, str]]) -> str:
        """A name of pairs (recording, level) that no other mixture has, safe on every system."""
        room = min(48, _LONGEST_NAME // len(parts) - 10)
        name = plain = "_".join(
            f"{re.sub(r'[^A-Za-z0-9.-]+', '-', text)[:room]}_{level}" for text, level in parts
        )
        copy = 1
        # Some file systems take names that differ in case for the same.
        while name.casefold() in self._names:
            copy += 1
            name = f"{plain}_{copy}"
        self._names.add(name.casefold())
        return name


def called(talker: Utterance) -> str:
    """A recording in the name of a mixture: its own, which may begin with its speaker's."""
    stem = talker.path.stem
    return stem if stem.startswith(talker.speaker) else f"{talker.speaker}-{stem}"


def relative(path: Path, root: Path) -> str:
    """A path as metadata.csv has it."""
    return Path(os.path.relpath(path.resolve(), root)).as_posix()


def bucket(snr_db: float) -> str:
    """The step of 5 dB that a ratio lies in, for tables by SNR."""
    low = 5 * int(np.floor(snr_db / 5))
    return f"{low} to {low + 5} dB"
