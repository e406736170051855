"""One mixture of talkers: read, mix, and note all that is needed to do it again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.resample import change_speed
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import Level, Mixed, Mode, layout, mix
from cplxsep.data.recipes.drawn import bucket, relative
from cplxsep.data.recipes.preparation import Rendered, summed
from cplxsep.data.recordings import usable_speech
from cplxsep.data.table import Row
from cplxsep.errors import InputError


@dataclass(frozen=True)
class MixTask:
    """Mixture number `index` of a split; for each talker a level, a place and a speed."""

    index: int
    name: str
    talkers: tuple[Utterance, ...]
    snr_db: tuple[float, ...]
    places: tuple[float, ...]
    speeds: tuple[float, ...]
    split: str
    root: Path
    sample_rate: int
    level: Level
    mode: Mode
    overlap: float


def subfolders(sources: int) -> list[str]:
    """Where the files of a mixture lie in its split's folder."""
    return ["mix", *(f"s{number + 1}" for number in range(sources))]


def mixture_parts(
    snr_db: tuple[float, ...], talkers: tuple[Utterance, ...]
) -> list[tuple[str, str]]:
    """The parts of a name as in wsj0-2mix, talkers and levels in turn."""
    levels = [snr_db[1], *(-ratio for ratio in snr_db[1:])]
    parts = []
    for talker, level in zip(talkers, levels, strict=True):
        stem = talker.path.stem
        text = stem if stem.startswith(talker.speaker) else f"{talker.speaker}-{stem}"
        parts.append((text, f"{level:.4f}"))
    return parts


def at_speed(audio: np.ndarray, speed: float) -> np.ndarray:
    """Audio (S,) played `speed` times as fast."""
    return audio if speed == 1.0 else change_speed(audio, speed)


def render(task: MixTask) -> Rendered:
    """Mix; what cannot be used is given under the path of its file."""
    pieces: list[np.ndarray] = []
    bad: dict[str, str] = {}
    for talker, speed in zip(task.talkers, task.speeds, strict=True):
        try:
            pieces.append(at_speed(usable_speech(talker, task.sample_rate), speed))
        except InputError as error:
            bad[str(talker.path)] = str(error)
    if bad:
        return Rendered(None, {}, bad)
    lengths = [len(piece) for piece in pieces]
    offsets = [0] * len(pieces)
    if task.mode == "min":
        shortest = min(lengths)
        offsets = [
            int(place * (length - shortest + 1))
            for place, length in zip(task.places, lengths, strict=True)
        ]
        lengths = [shortest] * len(pieces)
    starts = layout(lengths, task.overlap)
    used = zip(pieces, offsets, lengths, strict=True)
    silent = [not piece[start : start + length].any() for piece, start, length in used]
    files: dict[str, np.ndarray] = {}
    if not any(silent):
        mixed = mix(
            pieces,
            snr_db=task.snr_db,
            sample_rate=task.sample_rate,
            level=task.level,
            mode=task.mode,
            offsets=offsets if task.mode == "min" else starts,
            starts=starts,
        )
        files = summed(mixed.sources)
        silent = [not files[f"s{number + 1}"].any() for number in range(len(pieces))]
        if silent[0]:  # the others were brought to its level
            silent[1:] = [False] * (len(pieces) - 1)
    if any(silent):
        talkers = [
            talker for talker, is_silent in zip(task.talkers, silent, strict=True) if is_silent
        ]
        return Rendered(
            None, {}, {str(item.path): f"{item.path} is silent where used" for item in talkers}
        )
    return Rendered(_row(task, mixed, offsets, starts, lengths), files, {})


def _row(
    task: MixTask, mixed: Mixed, offsets: list[int], starts: list[int], lengths: list[int]
) -> Row:
    corpora = {talker.corpus for talker in task.talkers}
    row = {
        "name": task.name,
        "split": task.split,
        "mixture_path": f"mix/{task.name}.wav",
        "sample_rate": str(task.sample_rate),
        "seconds": f"{len(mixed.mixture) / task.sample_rate:.6f}",
        "condition": corpora.pop() if len(corpora) == 1 else "mixed",
        "samples": str(len(mixed.mixture)),
        "peak_gain": f"{mixed.common:.9g}",
    }
    if len(task.talkers) == 2:
        row["snr_bucket"] = bucket(task.snr_db[1])
    for number, talker in enumerate(task.talkers):
        source = f"source_{number + 1}"
        row |= {
            f"{source}_path": relative(talker.path, task.root),
            f"{source}_speaker": talker.speaker,
            f"{source}_corpus": talker.corpus,
            f"{source}_snr_db": f"{task.snr_db[number]:.4f}",
            f"{source}_gain": f"{mixed.own[number]:.9g}",
            f"{source}_speed": str(task.speeds[number]),
            f"{source}_offset": str(offsets[number]),
            f"{source}_start": str(starts[number]),
            f"{source}_samples": str(lengths[number]),
        }
    return row
