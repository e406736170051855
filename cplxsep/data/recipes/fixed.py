"""Mixtures that a published list fixes: nothing is drawn, what cannot be read is left out."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from scipy.signal import resample_poly

from cplxsep.audio import io
from cplxsep.data.mixing import Mode
from cplxsep.data.recipes.preparation import Prepared, Rendered, Report
from cplxsep.data.recordings import check_outliers
from cplxsep.errors import InputError

ORIGINAL_RATE = 16000  # Hz, of WSJ0 and LibriSpeech
_FULL = 32768


class ListLine(Protocol):
    """A mixture of a list."""

    @property
    def name(self) -> str: ...


L = TypeVar("L", bound=ListLine)


@dataclass(frozen=True)
class LineTask(Generic[L]):
    """Mixture number `index` of a list."""

    index: int
    name: str
    line: L


@dataclass(frozen=True)
class FixedRecipe(Generic[L]):
    """A recipe whose mixtures are all known."""

    lines: Sequence[L]
    make: Callable[[L], Rendered]

    def first(self) -> list[LineTask[L]]:
        return [LineTask(index, line.name, line) for index, line in enumerate(self.lines)]

    def again(self, _indices: list[int], _bad: set[str], _turn: int) -> list[LineTask[L]]:
        return []

    def render(self, task: LineTask[L]) -> Rendered:
        return self.make(task.line)


def complete(done: Prepared, wanted: int, report: Report) -> Prepared:
    """The result; how many mixtures could not be made is told, where there are such."""
    if done.complete and (missing := wanted - done.mixtures):
        report(f"{done.metadata.parent}: {missing} of {wanted} mixtures cannot be made")
    return done


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
    return resample_poly(audio, sample_rate, ORIGINAL_RATE)


def fit_all(sources: Sequence[np.ndarray], mode: Mode) -> list[np.ndarray]:
    """Sources (S,) cut to the shortest or zero-padded to the longest."""
    lengths = [len(source) for source in sources]
    length = min(lengths) if mode == "min" else max(lengths)
    return [np.pad(source[:length], (0, max(length - len(source), 0))) for source in sources]


def from_steps(steps: np.ndarray) -> np.ndarray:
    """Audio that a 16-bit file holds as these whole numbers, clipped to what it can hold."""
    return (np.clip(steps, -_FULL, _FULL - 1) / _FULL).astype(np.float32)
