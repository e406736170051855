"""What all recipes share: one folder of mixtures made from tasks, in any number of threads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from cplxsep.audio import io
from cplxsep.audio.atomic import write_text
from cplxsep.data.mixing import add
from cplxsep.data.recipes import amounts
from cplxsep.data.recipes.ledger import Ledger
from cplxsep.data.table import Row
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers, default_workers, in_threads

Report = Callable[[str], None]
# How the caller shows progress: it gets the results and their number, and yields them on.
Watch = Callable[[Iterator["Rendered"], int], Iterable["Rendered"]]
_FULL = 32768.0


P = TypeVar("P")


@dataclass(frozen=True)
class Task(Generic[P]):
    """One mixture that is to be made: its number, its name, and what decides the rest."""

    index: int
    name: str
    plan: P


@dataclass(frozen=True)
class Rendered:
    """A mixture's audio by sub-folder and its metadata, or what could not be used, and why.

    `texts` are files beside the audio, by their path in the split's folder.
    """

    row: Row | None
    audio: dict[str, np.ndarray]
    bad: dict[str, str]
    texts: dict[str, str] = field(default_factory=dict)


class Recipe(Protocol[P]):
    """What one recipe knows of one folder of mixtures."""

    def first(self) -> list[Task[P]]:
        """The mixtures to make."""

    def again(self, indices: list[int], bad: set[str], turn: int) -> list[Task[P]]:
        """Others in place of those that met something bad, without it; none where there are."""

    def render(self, task: Task[P]) -> Rendered:
        """Make one mixture. InputError only where nothing can go on."""


@dataclass(frozen=True)
class Prepared:
    """A finished folder: its table, how much it is, and what was left out and why.

    complete: False for a shard's part of one, whose table is not there yet.
    """

    metadata: Path
    mixtures: int
    seconds: float
    left_out: list[str]
    complete: bool = True


class Preparation(Generic[P]):
    """The preparation of one folder of mixtures.

    `identity` is what decides the bytes; `subfolders` are those of a mixture's files, none where
    only the table is written; `texts` what the recipe writes beside them, as for `Ledger`. The last
    shard to be done ends the folder, as one run would.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe[P],
        identity: dict[str, Any],
        subfolders: list[str],
        sample_rate: int,
        shard: Shard = WHOLE,
        texts: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.recipe = recipe
        self.sample_rate = sample_rate
        self.subfolders = subfolders
        self.ledger = Ledger(folder, identity, subfolders, shard, texts)
        self.shard = shard
        self._bad: dict[str, str] = {}
        self._told: set[str] = set()

    def run(
        self, workers: Workers | None, report: Report, watch: Watch, before: list[str]
    ) -> Prepared:
        """Do what is not done yet; `before` are reasons that were told already.

        InputError: the folder holds something else, cannot be written, or no mixture can be made.
        """
        if done := self.ledger.claim():
            rows, left_out = done
            for reason in left_out:
                report(reason)
        else:
            tasks, workers = self.recipe.first(), workers or default_workers()
            if self.shard:
                made, _ = self._make_some(self.shard.take(tasks), workers, report, watch)
                if not self.ledger.end_shard():
                    return self._prepared([*made.values()], [*before, *self._bad.values()], False)
                self._bad = {}  # again, in the order of one run
            rows = self._make_all(tasks, workers, report, watch)
            left_out = list(self._bad.values())
            if not rows:
                raise InputError(f"{self.folder}: no mixture could be made")
            amounts.write(self.folder, rows)
            self.ledger.finish(rows, left_out)
        return self._prepared(rows, before + left_out, True)

    def _prepared(self, rows: list[Row], left_out: list[str], complete: bool) -> Prepared:
        seconds = sum(float(row["seconds"]) for row in rows)
        return Prepared(self.ledger.metadata, len(rows), seconds, left_out, complete)

    def _make_all(
        self, tasks: list[Task[P]], workers: Workers, report: Report, watch: Watch
    ) -> list[Row]:
        """Rows of all mixtures; those that met something bad are drawn again without it."""
        rows: dict[int, Row] = {}
        turn = 0
        while tasks:
            made, again = self._make_some(tasks, workers, report, watch)
            rows |= made
            turn += 1
            tasks = self.recipe.again(again, set(self._bad), turn) if again else []
        return [rows[index] for index in sorted(rows)]

    def _make_some(
        self, tasks: list[Task[P]], workers: Workers, report: Report, watch: Watch
    ) -> tuple[dict[int, Row], list[int]]:
        """Rows by index, and the indices of what met something bad."""
        known = {task.index: self.ledger.finished(task.name) for task in tasks}
        rows = {index: row for index, row in known.items() if row}
        tasks = [task for task in tasks if task.index not in rows]
        again = []

        def lost(task: Task[P], error: InputError) -> Rendered:
            raise InputError(f"{self.folder}: {task.name}: {error}")

        results = in_threads(self._make, tasks, workers, lost)
        for task, result in zip(tasks, watch(results, len(tasks)), strict=True):
            if result.row is None:
                again.append(task.index)
                for key, reason in result.bad.items():
                    if key not in self._told:
                        report(reason)
                self._told.update(result.bad)
                self._bad |= result.bad
            else:
                rows[task.index] = result.row
                self.ledger.record(result.row)
        return rows, again

    def _make(self, task: Task[P]) -> Rendered:
        result = self.recipe.render(task)
        if result.row is not None:
            # Before the audio, which is what tells that a mixture is whole.
            for name, text in result.texts.items():
                (self.folder / name).parent.mkdir(exist_ok=True)
                write_text(self.folder / name, text)
            for subfolder in self.subfolders:
                file = self.folder / subfolder / f"{task.name}.wav"
                io.write(file, result.audio[subfolder], self.sample_rate, subtype="pcm16")
        return Rendered(result.row, {}, result.bad)


def subfolders(sources: int) -> list[str]:
    """Where the files of a mixture lie in its split's folder."""
    return ["mix", *(f"s{number + 1}" for number in range(sources))]


def quantised(audio: np.ndarray) -> np.ndarray:
    """Audio in whole 16-bit steps: they add without rounding, so that sums hold in files too."""
    return np.rint(audio * _FULL) / np.float32(_FULL)


def summed(sources: np.ndarray) -> dict[str, np.ndarray]:
    """Files of a mixture that is the sum of its sources (N, S)."""
    steps = quantised(sources)
    files = {f"s{number + 1}": source for number, source in enumerate(steps)}
    return {"mix": add(steps), **files}
