"""One conversation: read the talkers, let them take turns, put them into room and noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.activity import Segments, rttm
from cplxsep.audio.level import common_gain, from_db
from cplxsep.config import ConversationConfig
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import add
from cplxsep.data.plan import generator
from cplxsep.data.recipes.drawn import relative
from cplxsep.data.recipes.drawn_rooms import read_response, room_file
from cplxsep.data.recipes.noise_bank import NoiseBank, cut, offset_of
from cplxsep.data.recipes.preparation import Rendered, quantised
from cplxsep.data.recordings import usable_speech
from cplxsep.data.scene import assemble
from cplxsep.data.table import Row
from cplxsep.data.turns import Turn, Voice, converse, one_alone
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
    rng = generator(task.seed)
    try:
        talk, turns = _talk(task, rng)
        noise, offset = _noise(task)
        responses = [_response(task, place) for place in task.places]
    except _UnusableError as error:
        return Rendered(None, {}, {str(error.path): str(error)})
    scene = assemble(
        talk,
        snr_db=task.snr_db,
        sample_rate=task.sample_rate,
        responses=responses or None,
        reference=task.config.reference,
        noise=noise,
        noise_snr_db=task.noise_snr_db,
    )
    heard = [*scene.heard, scene.noise, *scene.references, scene.mixture]
    scene = scene.scaled(common_gain(np.stack(heard), _PEAK))
    steps = quantised(np.stack([*scene.heard, scene.noise]))
    files = {"mix": add(steps), "noise": steps[-1]}
    files |= {f"s{at + 1}": quantised(own) for at, own in enumerate(scene.references)}
    spoken: list[Segments] = [[] for _ in talk]
    for turn in turns:
        spoken[turn.talker].append((turn.start / task.sample_rate, turn.end / task.sample_rate))
    text = {f"{RTTM}/{task.name}.rttm": rttm(task.name, spoken)}
    return Rendered(_row(task, turns, offset), files, {}, text)


def _talk(task: ConversationTask, rng: np.random.Generator) -> tuple[np.ndarray, list[Turn]]:
    """What is said (N, S), and the turns."""
    voices = [_voice(recordings, task.sample_rate, rng) for recordings in task.talkers]
    talk, turns = converse(voices, task.samples, task.sample_rate, task.config, rng)
    if rng.random() < task.config.alone:
        turns = one_alone(talk, turns, 0, task.samples, rng)
    return talk * np.float32(from_db(_LEVEL_DB)), turns


def _noise(task: ConversationTask) -> tuple[np.ndarray | None, int]:
    """Noise (S,), and where in its recording it begins."""
    if task.noise is None:
        return None, 0
    sounding = _read(task.noise.path, task.bank.sounding)
    offset = offset_of(sounding, task.samples, task.place)
    return cut(sounding, offset, task.samples, task.sample_rate), offset


def _response(task: ConversationTask, place: str) -> np.ndarray:
    try:
        return read_response(place, task.rooms, task.sample_rate)
    except InputError as error:
        raise _UnusableError(room_file(place, task.rooms), error) from error


def _voice(recordings: tuple[Utterance, ...], rate: int, rng: np.random.Generator) -> Voice:
    def read(number: int) -> np.ndarray:
        item = recordings[number]
        return _read(item.path, lambda _path: usable_speech(item, rate))

    return Voice(rng.permutation(len(recordings)).tolist(), read, rate)


def _read(path: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    try:
        return read(path)
    except InputError as error:
        raise _UnusableError(path, error) from error


def _row(task: ConversationTask, turns: Sequence[Turn], offset: int) -> Row:
    talking = np.zeros((len(task.talkers), task.samples), bool)
    for turn in turns:
        talking[turn.talker, turn.start : turn.end] = True
    count = talking.sum(axis=0)
    row = {
        "name": task.name,
        "split": task.split,
        "recipe": "conversations",
        "mixture_path": f"mix/{task.name}.wav",
        "sample_rate": str(task.sample_rate),
        "seconds": f"{task.samples / task.sample_rate:.6f}",
        "condition": _condition(task),
        "samples": str(task.samples),
        "overlap": f"{(count > 1).sum() / max((count > 0).sum(), 1):.4f}",
        "talking": str(len({turn.talker for turn in turns})),
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
