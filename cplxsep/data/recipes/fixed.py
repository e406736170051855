"""Mixtures that a published list fixes: nothing is drawn, what cannot be read is left out."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
import scipy

from cplxsep.audio import io, resample
from cplxsep.data.mixing import Mode
from cplxsep.data.recipes.drawn import bucket
from cplxsep.data.recipes.preparation import Preparation, Prepared, Rendered, Report, Task, Watch
from cplxsep.data.recordings import check_outliers
from cplxsep.data.table import Row
from cplxsep.errors import InputError
from cplxsep.parallel import Shard, Workers

ORIGINAL_RATE = 16000  # Hz, of WSJ0 and LibriSpeech
_FULL = 32768


class ListLine(Protocol):
    """A mixture of a list, with its recordings' names there and who speaks in each."""

    @property
    def name(self) -> str: ...

    @property
    def recordings(self) -> tuple[str, ...]: ...

    @property
    def speakers(self) -> list[str]: ...


L = TypeVar("L", bound=ListLine)


@dataclass(frozen=True)
class FixedRecipe(ABC, Generic[L]):
    """The mixtures of one list, all of them known, at a rate in Hz."""

    recipe: ClassVar[str]
    lines: Sequence[L]
    split: str
    sample_rate: int
    mode: Mode

    @abstractmethod
    def render(self, task: Task[L]) -> Rendered:
        """Make one mixture."""

    def first(self) -> list[Task[L]]:
        return [Task(index, line.name, line) for index, line in enumerate(self.lines)]

    def again(self, _indices: list[int], _bad: set[str], _turn: int) -> list[Task[L]]:
        return []

    def prepare(
        self,
        folder: Path,
        files: list[str],
        workers: Workers | None,
        shard: Shard,
        report: Report,
        watch: Watch,
        **more: object,
    ) -> Prepared:
        """Make them in a folder; `more` decides the bytes, too. What cannot be made is told."""
        identity = {
            **{"recipe": f"{self.recipe} 1", "sample_rate": self.sample_rate, "mode": self.mode},
            **more,
            "list": hashlib.sha256(repr(self.lines).encode()).hexdigest()[:16],
        }
        preparation = Preparation(folder, self, identity, files, self.sample_rate, shard)
        done, wanted = preparation.run(workers, report, watch, []), len(self.lines)
        if done.complete and (missing := wanted - done.mixtures):
            report(f"{done.metadata.parent}: {missing} of {wanted} mixtures cannot be made")
        return done

    def row(
        self, line: L, folder: str, samples: int, ratios: Sequence[float], gains: Sequence[float]
    ) -> Row:
        """A mixture's row; `folder` has its file, `ratios` are of talker 1 to each, in dB."""
        row = {
            "name": line.name,
            "split": self.split,
            "mixture_path": f"{folder}/{line.name}.wav",
            "sample_rate": str(self.sample_rate),
            "seconds": f"{samples / self.sample_rate:.6f}",
            "condition": bucket(ratios[1]),
            "recipe": self.recipe,
            "mode": self.mode,
            "samples": str(samples),
        }
        for number, recording in enumerate(line.recordings):
            row |= {
                f"source_{number + 1}_path": recording,
                f"source_{number + 1}_speaker": line.speakers[number],
                f"source_{number + 1}_snr_db": f"{ratios[number]:.4f}",
                f"source_{number + 1}_gain": repr(float(gains[number])),
            }
        return row


def check_there(paths: Iterable[Path], where: str, root: Path) -> None:
    """InputError: none of the files is there, so that the folder must be another."""
    first = None
    for path in paths:
        if path.is_file():
            return
        first = first or path
    raise InputError(f"none of the recordings that {where} names is in {root}, such as {first}")


def check_test_speakers(speakers: dict[str, set[str]], test: str) -> None:
    """InputError: a speaker of the test split is in another one too; `speakers` by split."""
    for split, names in speakers.items():
        if split != test and (both := sorted(names & speakers.get(test, set()))):
            raise InputError(f"speaker {both[0]} is in two splits, {split} and {test}")


def read_mono(path: Path, channel: int | None = None) -> np.ndarray:
    """Read float32 (S,) at 16 kHz. InputError: unreadable, another rate, more channels than one.

    `channel` chooses one of several.
    """
    audio, rate = io.read(path)
    if rate != ORIGINAL_RATE:
        raise InputError(f"{path} has {rate} Hz, the lists are for {ORIGINAL_RATE} Hz")
    if len(audio) > 1 and channel is None:
        raise InputError(f"{path} has {len(audio)} channels, not one")
    check_outliers(path, audio)
    return audio[channel or 0]


def at_rate(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """From 16 kHz to `sample_rate` as the original scripts do, in the precision of the input."""
    if sample_rate == ORIGINAL_RATE:
        return audio
    return scipy.signal.resample_poly(audio, sample_rate, ORIGINAL_RATE)


def fit_all(sources: Sequence[np.ndarray], mode: Mode) -> list[np.ndarray]:
    """Sources (S,) cut to the shortest or zero-padded to the longest."""
    lengths = [len(source) for source in sources]
    length = min(lengths) if mode == "min" else max(lengths)
    return [resample.fit(source, length) for source in sources]


def from_steps(steps: np.ndarray) -> np.ndarray:
    """Audio that a 16-bit file holds as these whole numbers, clipped to what it can hold."""
    return (np.clip(steps, -_FULL, _FULL - 1) / _FULL).astype(np.float32)
