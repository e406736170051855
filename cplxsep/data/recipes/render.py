"""One prepared mixture: read its talkers, mix, write 16-bit files."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.data.cache import decode
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import Level, Mixed, Mode, add, mix
from cplxsep.data.plan import MixturePlan
from cplxsep.data.recipes.ledger import Row
from cplxsep.errors import InputError

_FULL = 32768.0
_SHORTEST_SECONDS = 0.25
_LONGEST_PART = 48


@dataclass(frozen=True)
class Task:
    """Mixture number `index` of a split, to be written in `folder`."""

    index: int
    name: str
    plan: MixturePlan
    talkers: tuple[Utterance, ...]
    folder: Path
    root: Path
    sample_rate: int
    level: Level
    mode: Mode

    def files(self) -> list[Path]:
        """The mixture's file and then the sources'."""
        folders = subfolders(len(self.talkers))
        return [self.folder / folder / f"{self.name}.wav" for folder in folders]


@dataclass(frozen=True)
class Rendered:
    """A written mixture's metadata, or the utterances that could not be used and why."""

    row: Row | None
    bad: dict[int, str]


def subfolders(sources: int) -> list[str]:
    """Where the files of a mixture lie in its split's folder."""
    return ["mix", *(f"s{number + 1}" for number in range(sources))]


def mixture_name(plan: MixturePlan, talkers: tuple[Utterance, ...]) -> str:
    """A name as in wsj0-2mix, talkers and levels in turn, safe on every file system."""
    levels = [plan.snr_db[1], *(-ratio for ratio in plan.snr_db[1:])]
    parts = []
    for talker, level in zip(talkers, levels, strict=True):
        stem = talker.path.stem
        text = stem if stem.startswith(talker.speaker) else f"{talker.speaker}-{stem}"
        parts.append(f"{re.sub(r'[^A-Za-z0-9.-]+', '-', text)[:_LONGEST_PART]}_{level:.4f}")
    return "_".join(parts)


def render(task: Task) -> Rendered:
    """Write the files of one mixture. InputError only where they cannot be written."""
    pieces: list[np.ndarray] = []
    bad: dict[int, str] = {}
    for position, talker in zip(task.plan.utterances, task.talkers, strict=True):
        try:
            pieces.append(_usable(talker, task.sample_rate))
        except InputError as error:
            bad[position] = str(error)
    if bad:
        return Rendered(None, bad)
    offsets = _offsets(task, pieces)
    mixed = None
    if not (silent := _silent(task, pieces, offsets)):
        mixed = mix(
            pieces,
            snr_db=task.plan.snr_db,
            sample_rate=task.sample_rate,
            level=task.level,
            mode=task.mode,
            offsets=offsets,
        )
        sources = np.rint(mixed.sources * _FULL) / np.float32(_FULL)
        silent = [number for number, source in enumerate(sources) if not source.any()]
    if silent or mixed is None:
        return Rendered(
            None,
            {
                task.plan.utterances[number]: f"{task.talkers[number].path} is silent where used"
                for number in silent
            },
        )
    # Whole 16-bit steps add without rounding: in the files too the mixture is the sources' sum.
    for file, audio in zip(task.files(), [add(sources), *sources], strict=True):
        io.write(file, audio, task.sample_rate, subtype="pcm16")
    return Rendered(_row(task, mixed, offsets), {})


def _usable(talker: Utterance, sample_rate: int) -> np.ndarray:
    audio = decode(talker, sample_rate)
    if len(audio) < _SHORTEST_SECONDS * sample_rate:
        raise InputError(f"{talker.path} is shorter than {_SHORTEST_SECONDS} s")
    return audio


def _offsets(task: Task, pieces: list[np.ndarray]) -> list[int]:
    lengths = [len(piece) for piece in pieces]
    if task.mode == "max":
        return [0] * len(pieces)
    return [
        int(place * (length - min(lengths) + 1))
        for place, length in zip(task.plan.places, lengths, strict=True)
    ]


def _silent(task: Task, pieces: list[np.ndarray], offsets: list[int]) -> list[int]:
    length = min(map(len, pieces))
    used = [
        piece[start : start + length] if task.mode == "min" else piece
        for piece, start in zip(pieces, offsets, strict=True)
    ]
    return [number for number, piece in enumerate(used) if not np.any(piece)]


def _row(task: Task, mixed: Mixed, offsets: list[int]) -> Row:
    corpora = {talker.corpus for talker in task.talkers}
    row = {
        "name": task.name,
        "split": task.folder.name,
        "mixture_path": f"mix/{task.name}.wav",
        "sample_rate": str(task.sample_rate),
        "seconds": f"{len(mixed.mixture) / task.sample_rate:.6f}",
        "condition": corpora.pop() if len(corpora) == 1 else "mixed",
    }
    for number, talker in enumerate(task.talkers):
        row |= {
            f"source_{number + 1}_path": _relative(talker.path, task.root),
            f"source_{number + 1}_speaker": talker.speaker,
            f"source_{number + 1}_corpus": talker.corpus,
            f"source_{number + 1}_snr_db": f"{task.plan.snr_db[number]:.4f}",
            f"source_{number + 1}_gain": f"{mixed.gains[number]:.8g}",
            f"source_{number + 1}_offset": str(offsets[number]),
        }
    return row


def _relative(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path.resolve(), root)).as_posix()
