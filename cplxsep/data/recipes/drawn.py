"""Mixtures that are drawn from a seed: a number of them, or about so many hours."""

import os
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from cplxsep.data.plan import generator
from cplxsep.data.recipes.preparation import Rendered, Task
from cplxsep.errors import UsageError

_LONGEST_NAME = 240  # bytes, with what is added to it below any file system's limit
P = TypeVar("P")
T = TypeVar("T", bound=Task)


def check_amount(count: int | None, hours: float | None, splits: list[str]) -> None:
    """UsageError: not exactly one of the two, or nothing to do."""
    if (count is None) == (hours is None):
        raise UsageError("give either a count of mixtures or hours, for each split")
    if not (count or hours or 0) > 0 or not splits:
        raise UsageError("nothing to prepare: give a count or hours above 0, and a split")


class DrawnRecipe(ABC, Generic[P, T]):
    """A recipe whose mixture i depends on the seed, the split, i and the good recordings alone."""

    def __init__(self, folder: Path, seed: int, count: int | None, hours: float | None) -> None:
        self.folder = folder
        self._seed = seed
        self._count = count
        self._hours = hours
        self._names: set[str] = set()
        self._planned: list[float] = []  # seconds of each mixture

    @abstractmethod
    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], P]:
        """A function that draws mixtures from what is not bad. InputError: too little is left."""

    @abstractmethod
    def seconds(self, plan: P) -> float:
        """How long the mixture will be, by what the manifest says."""

    @abstractmethod
    def task(self, index: int, plan: P) -> T:
        """The mixture's task."""

    @abstractmethod
    def render(self, task: T) -> Rendered:
        """Make one mixture."""

    def first(self) -> list[T]:
        """As many mixtures as asked for; hours go by the lengths that the manifest gives."""
        draw = self._draw(set(), 0)
        if self._count is not None:
            return [self.task(index, draw(index)) for index in range(self._count)]
        return self._up_to_hours(draw)

    def again(self, indices: list[int], bad: set[str], turn: int) -> list[T]:
        """The same mixtures drawn anew, without what is bad; more where hours come short of it."""
        draw = self._draw(bad, turn)
        plans = {index: draw(index) for index in indices}
        tasks = [self.task(index, plan) for index, plan in plans.items()]
        if self._count is not None:
            return tasks
        for index, plan in plans.items():
            self._planned[index] = self.seconds(plan)
        return tasks + self._up_to_hours(draw)

    def _up_to_hours(self, draw: Callable[[int], P]) -> list[T]:
        tasks: list[T] = []
        planned, wanted = sum(self._planned), (self._hours or 0.0) * 3600
        while planned < wanted:
            plan = draw(len(self._planned))
            tasks.append(self.task(len(self._planned), plan))
            self._planned.append(self.seconds(plan))
            planned += self._planned[-1]
        return tasks

    def _draw(self, bad: set[str], turn: int) -> Callable[[int], P]:
        draw = self.draws(bad)
        split = zlib.crc32(self.folder.name.encode())
        return lambda index: draw(generator(self._seed, split, index, turn))

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


def relative(path: Path, root: Path) -> str:
    """A path as metadata.csv has it."""
    return Path(os.path.relpath(path.resolve(), root)).as_posix()


def bucket(snr_db: float) -> str:
    """The step of 5 dB that a ratio lies in, for tables by SNR."""
    low = 5 * int(np.floor(snr_db / 5))
    return f"{low} to {low + 5} dB"
