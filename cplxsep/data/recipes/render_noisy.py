"""One mixture of speech and noise: read, reverberate, mix, note what is needed to do it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.config.data import Reference
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import Level, Mixed, add, mix
from cplxsep.data.recipes.drawn import bucket, relative
from cplxsep.data.recipes.drawn_rooms import read_response, room_file
from cplxsep.data.recipes.noise_bank import NoiseBank, cut, offset_of
from cplxsep.data.recipes.preparation import Rendered, quantised
from cplxsep.data.recordings import usable, usable_speech
from cplxsep.data.scene import in_room
from cplxsep.data.table import Row
from cplxsep.errors import InputError


@dataclass(frozen=True)
class NoisyTask:
    """Mixture number `index` of a split; `room` as metadata.csv tells it, "" for none."""

    index: int
    name: str
    speech: Utterance
    noise: Utterance
    snr_db: float
    place: float
    room: str
    split: str
    roots: tuple[Path, Path]
    rooms: Path | None
    bank: NoiseBank
    sample_rate: int
    level: Level
    reference: Reference


def render(task: NoisyTask) -> Rendered:
    """Mix; what cannot be used is given under the path of its file."""
    bad: dict[str, str] = {}
    try:
        dry = usable_speech(task.speech, task.sample_rate)
    except InputError as error:
        bad[str(task.speech.path)] = str(error)
    try:
        sounding = task.bank.sounding(task.noise.path)
    except InputError as error:
        bad[str(task.noise.path)] = str(error)
    if bad:
        return Rendered(None, {}, bad)
    try:
        wet, heard = _in_room(dry, task.room, task.rooms, task.reference, task.sample_rate)
    except InputError as error:
        return Rendered(None, {}, {str(room_file(task.room, task.rooms)): str(error)})
    offset = offset_of(sounding, len(dry), task.place)
    noise = cut(sounding, offset, len(dry), task.sample_rate)
    mixed = mix(
        [wet, noise],
        snr_db=(0.0, task.snr_db),
        sample_rate=task.sample_rate,
        level=task.level,
        mode="max",
        reference=heard,
    )
    assert mixed.reference is not None
    files = audio(mixed.sources, mixed.reference)
    for recording, signal in ((task.speech, files["s1"]), (task.noise, files["noise"])):
        if not signal.any():
            bad[str(recording.path)] = f"{recording.path} is silent where used"
            break  # the noise was brought to the speech's level
    return Rendered(None, {}, bad) if bad else Rendered(_row(task, mixed, offset), files, {})


def _in_room(
    dry: np.ndarray, room: str, folder: Path | None, reference: Reference, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `in_room` where there is a room; the speech itself, twice, outside."""
    if not room:
        return dry, dry
    return in_room(dry, read_response(room, folder, sample_rate), reference, sample_rate)


def audio(sources: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """Files of a mixture of speech and noise (2, S)."""
    steps = quantised(sources)
    return {"mix": add(steps), "s1": quantised(reference), "noise": steps[1]}


def _row(task: NoisyTask, mixed: Mixed, offset: int) -> Row:
    speech_root, noise_root = task.roots
    return {
        "name": task.name,
        "split": task.split,
        "mixture_path": f"mix/{task.name}.wav",
        "sample_rate": str(task.sample_rate),
        "seconds": f"{len(mixed.mixture) / task.sample_rate:.6f}",
        "condition": task.noise.corpus,
        "samples": str(len(mixed.mixture)),
        "snr_db": f"{task.snr_db:.4f}",
        "snr_bucket": bucket(task.snr_db),
        "peak_gain": f"{mixed.common:.9g}",
        "source_1_path": relative(task.speech.path, speech_root),
        "source_1_speaker": task.speech.speaker,
        "source_1_corpus": task.speech.corpus,
        "source_1_gain": f"{mixed.own[0]:.9g}",
        "noise_path": relative(task.noise.path, noise_root),
        "noise_corpus": task.noise.corpus,
        "noise_gain": f"{mixed.own[1]:.9g}",
        "noise_offset": str(offset),
        "room": task.room,
        "reference": task.reference if task.room else "",
    }


def rebuild_noisy(
    row: Mapping[str, str], speech: Path, noise: Path, rooms: Path | None
) -> dict[str, np.ndarray]:
    """The files' audio from a row and the folders. KeyError, ValueError: the row is another's."""
    rate, samples = int(row["sample_rate"]), int(row["samples"])
    dry = usable(speech / row["source_1_path"], rate)
    if len(dry) != samples:
        raise InputError(f"{row['source_1_path']} has changed since {row['name']} was mixed")
    reference: Reference = "dry" if row["reference"] == "dry" else "early"
    wet, heard = _in_room(dry, row["room"], rooms, reference, rate)
    sounding = NoiseBank(rate).sounding(noise / row["noise_path"])
    piece = cut(sounding, int(row["noise_offset"]), samples, rate)
    own = np.array([row["source_1_gain"], row["noise_gain"]], np.float32)
    peak = np.float32(row["peak_gain"])
    return audio(np.stack([wet, piece]) * own[:, None] * peak, heard * own[0] * peak)
