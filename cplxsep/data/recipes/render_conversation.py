"""One conversation: read the talkers, let them take turns, put them into room and noise."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.activity import Activity, rttm
from cplxsep.audio.level import common_gain, from_db
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import add
from cplxsep.data.plan import generator
from cplxsep.data.recipes.drawn import relative
from cplxsep.data.recipes.job import Rendered, quantised
from cplxsep.data.recipes.noise_bank import NoiseBank, cut, offset_of
from cplxsep.data.recipes.rooms import read_response, room_file
from cplxsep.data.recordings import usable_speech
from cplxsep.data.scene import Scene, assemble
from cplxsep.data.table import Row
from cplxsep.data.turns import Voice, converse
from cplxsep.data_config import ConversationConfig
from cplxsep.errors import InputError

_LEVEL_DB = -25.0  # of the first talker
_PEAK = 0.9
RTTM = "rttm"


@dataclass(frozen=True)
class ConversationTask:
    """Conversation number `index` of a split; `talkers` have all recordings of each."""

    index: int
    name: str
    talkers: tuple[tuple[Utterance, ...], ...]
    snr_db: tuple[float, ...]
    seed: int
    samples: int
    config: ConversationConfig
    noise: Utterance | None
    noise_snr_db: float
    place: float
    places: tuple[str, ...]
    split: str
    noise_root: Path | None
    rooms: Path | None
    bank: NoiseBank
    sample_rate: int


class _UnusableError(Exception):
    """A file cannot be used, and why."""

    def __init__(self, path: Path, reason: InputError) -> None:
        super().__init__(str(reason))
        self.path = path


def render(task: ConversationTask) -> Rendered:
    """Mix; what cannot be used is given under the path of its file."""
    try:
        scene, offset, overlap = _scene(task)
    except _UnusableError as error:
        return Rendered(None, {}, {str(error.path): str(error)})
    heard = [*scene.heard, scene.noise, *scene.references, scene.mixture]
    scene = scene.scaled(common_gain(np.stack(heard), _PEAK))
    steps = quantised(np.stack([*scene.heard, scene.noise]))
    files = {"mix": add(steps), "noise": steps[-1]}
    files |= {f"s{at + 1}": quantised(own) for at, own in enumerate(scene.references)}
    activity = Activity(task.sample_rate)
    activity.push(scene.references)
    spoken = activity.segments(leaks=False)
    text = {f"{RTTM}/{task.name}.rttm": rttm(task.name, spoken)}
    return Rendered(_row(task, scene, offset, overlap), files, {}, text)


def _scene(task: ConversationTask) -> tuple[Scene, int, float]:
    """What is heard, where in its recording the noise begins, and how much of the talk overlaps."""
    rate, samples = task.sample_rate, task.samples
    rng = generator(task.seed)
    voices = [_voice(recordings, rate, rng) for recordings in task.talkers]
    talk = converse(voices, samples, rate, task.config, rng) * np.float32(from_db(_LEVEL_DB))
    if rng.random() < task.config.alone:
        talk[np.arange(len(talk)) != rng.integers(len(talk))] = 0.0
    talking = (talk != 0).sum(axis=0)
    overlap = float((talking > 1).sum() / max((talking > 0).sum(), 1))
    noise, offset = None, 0
    if task.noise is not None:
        sounding = _read(task.noise.path, task.bank.sounding)
        offset = offset_of(sounding, samples, task.place)
        noise = cut(sounding, offset, samples, rate)
    responses = None
    if task.places:
        try:
            responses = [read_response(place, task.rooms, rate) for place in task.places]
        except InputError as error:
            raise _UnusableError(room_file(task.places[0], task.rooms), error) from error
    scene = assemble(
        talk,
        snr_db=task.snr_db,
        sample_rate=rate,
        responses=responses,
        reference=task.config.reference,
        noise=noise,
        noise_snr_db=task.noise_snr_db,
    )
    return scene, offset, overlap


def _voice(recordings: tuple[Utterance, ...], rate: int, rng: np.random.Generator) -> Voice:
    def read(number: int) -> np.ndarray:
        item = recordings[number]
        return _read(item.path, lambda _path: usable_speech(item, rate))

    return Voice(len(recordings), read, rate, rng)


def _read(path: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    try:
        return read(path)
    except InputError as error:
        raise _UnusableError(path, error) from error


def _row(task: ConversationTask, scene: Scene, offset: int, overlap: float) -> Row:
    row = {
        "name": task.name,
        "split": task.split,
        "recipe": "conversations",
        "mixture_path": f"mix/{task.name}.wav",
        "sample_rate": str(task.sample_rate),
        "seconds": f"{task.samples / task.sample_rate:.6f}",
        "condition": _condition(task),
        "samples": str(task.samples),
        "overlap": f"{overlap:.4f}",
        "talking": str(int(scene.references.any(axis=1).sum())),
    }
    for number, recordings in enumerate(task.talkers, 1):
        row |= {
            f"source_{number}_speaker": recordings[0].speaker,
            f"source_{number}_corpus": recordings[0].corpus,
            f"source_{number}_snr_db": f"{task.snr_db[number - 1]:.4f}",
            f"source_{number}_room": task.places[number - 1] if task.places else "",
        }
    if task.noise is not None and task.noise_root is not None:
        row |= {
            "noise_path": relative(task.noise.path, task.noise_root),
            "noise_snr_db": f"{task.noise_snr_db:.4f}",
            "noise_offset": str(offset),
        }
    return row


def _condition(task: ConversationTask) -> str:
    parts = [("room", bool(task.places)), ("noise", task.noise is not None)]
    return " and ".join(name for name, there in parts if there) or "dry"
