"""`prepare conversations`: talkers who take turns, in the layout SPLIT/{mix,s1,...,noise,rttm}."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.activity import Segments, rttm
from cplxsep.audio.level import common_gain, from_db
from cplxsep.config import ConversationConfig
from cplxsep.data.manifest import SPLITS, Utterance, fingerprint, load_speech
from cplxsep.data.mixing import add
from cplxsep.data.noise import load_noise, odds
from cplxsep.data.plan import Range, generator
from cplxsep.data.recipes.collection import (
    FOLDERS,
    check_speakers,
    check_splits,
    open_collection,
)
from cplxsep.data.recipes.drawn import DrawnRecipe, check_amount, relative
from cplxsep.data.recipes.drawn_rooms import Rooms, find_rooms, read_response, room_file
from cplxsep.data.recipes.noise_bank import NoiseBank, cut, offset_of
from cplxsep.data.recipes.preparation import (
    Preparation,
    Prepared,
    Rendered,
    Report,
    Task,
    Watch,
    quantised,
    subfolders,
)
from cplxsep.data.recordings import usable_speech
from cplxsep.data.scene import assemble
from cplxsep.data.table import Row
from cplxsep.data.turns import Sound, Turn, Voice, Waveform, converse, one_alone, spoken
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers

_LEVEL_DB = -25.0  # of the first talker
_PEAK = 0.9
RTTM = "rttm"


@dataclass(frozen=True)
class ConversationSettings:
    """What decides the bytes, beside the recordings. Hz, s and dB; `count` or `hours` a split.

    `snr` is how much louder talker 1 is than each other, `noise_snr` all of them than the noise.
    """

    talk: ConversationConfig
    sample_rate: int = 16000
    sources: int = 2
    seconds: float = 60.0
    snr: Range = (-5.0, 5.0)
    noise_snr: Range = (5.0, 30.0)
    count: int | None = None
    hours: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Plan:
    """`talkers` have all recordings of each; `places` are in rooms, as metadata.csv tells them."""

    talkers: list[list[Utterance]]
    snr_db: tuple[float, ...]
    seed: int
    noise: Utterance | None
    noise_snr_db: float
    place: float
    places: list[str]


class _UnusableError(Exception):
    """A file cannot be used, and why."""

    def __init__(self, path: Path, reason: InputError) -> None:
        super().__init__(str(reason))
        self.path = path


def prepare_conversations(
    speech: Path,
    out: Path,
    settings: ConversationSettings,
    *,
    noise: Path | None = None,
    rooms: str | None = None,
    splits: Iterable[str] = SPLITS,
    workers: Workers | None = None,
    shard: Shard = WHOLE,
    report: Report = lambda _text: None,
    watch: Watch = lambda results, _total: results,
) -> Iterator[Prepared]:
    """Write OUT/SPLIT/{mix,s1,s2,...,noise}/NAME.wav, rttm/NAME.rttm and metadata.csv.

    As `prepare_mix`; noise and rooms as in `prepare_noisy`. The noise's files are silent where
    there is none, a talker's where he says nothing.
    InputError, UsageError: as `prepare_noisy`.
    """
    splits = list(splits)
    check_amount(settings.count, settings.hours, splits)
    check_splits(splits)
    places, unread = find_rooms(rooms, report)
    talkers = open_collection(speech, load_speech, out, report)
    noises = open_collection(noise, load_noise, out, report) if noise else None
    bank = NoiseBank(settings.sample_rate)
    planned = []
    for split in splits:
        own = talkers.split(split)
        advice = ": leave the split out with --split"
        check_speakers(f"split {split!r} of {speech}", own, settings.sources, advice)
        sounds = noises.split(split) if noises else []
        if noises and not sounds:
            raise InputError(f"split {split!r} of {noise} has no recording{advice}")
        folder = out / FOLDERS.get(split, split)
        root = noises.root if noises else None
        recipe = _Conversations(folder, settings, own, sounds, root, places, bank)
        identity = {
            "recipe": "conversations 1",
            **_identity(settings),
            "speech": fingerprint(own),
            "noise": fingerprint(sounds) if noises else None,
            "rooms": places and places.identity,
        }
        files = [*subfolders(settings.sources), "noise"]
        texts, rate = [f"{RTTM}/{{name}}.rttm"], settings.sample_rate
        planned.append(Preparation(folder, recipe, identity, files, rate, shard, texts))
    left_out = unread + talkers.left_out + (noises.left_out if noises else [])
    for one in planned:
        yield one.run(workers, report, watch, left_out)


def _identity(settings: ConversationSettings) -> dict[str, object]:
    """The settings as preparation.json has them: lists, no tuples."""
    talk = settings.talk.model_dump(mode="json")
    values = asdict(settings) | {"snr": list(settings.snr), "noise_snr": list(settings.noise_snr)}
    return values | {"talk": talk}


@dataclass(eq=False)
class _Conversations(DrawnRecipe[_Plan]):
    """The conversations of one split."""

    settings: ConversationSettings
    speech: list[Utterance]
    sounds: list[Utterance]
    noise_root: Path | None
    rooms: Rooms | None
    bank: NoiseBank

    @property
    def samples(self) -> int:
        """Length of each."""
        return round(self.settings.seconds * self.settings.sample_rate)

    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], _Plan]:
        settings = self.settings
        sounds = [item for item in self.sounds if str(item.path) not in bad]
        if self.sounds and not sounds:
            raise InputError(f"{self.folder}: no recording of noise can be used")
        planner, good = self.planner(self.speech, bad, sources=settings.sources, snr=settings.snr)
        likely = odds([item.seconds for item in sounds]) if sounds else None
        rooms = self.rooms.without(bad) if self.rooms else None

        def draw(rng: np.random.Generator) -> _Plan:
            plan = planner.draw(rng)
            talkers = [planner.recordings_of(first) for first in plan.utterances]
            return _Plan(
                talkers=[[self.speech[good[at]] for at in own] for own in talkers],
                snr_db=plan.snr_db,
                seed=int(rng.integers(1 << 32)),
                noise=sounds[int(rng.choice(len(sounds), p=likely))] if sounds else None,
                noise_snr_db=float(rng.uniform(*settings.noise_snr)),
                place=float(rng.random()),
                places=rooms.draw_places(len(talkers), rng) if rooms else [],
            )

        return draw

    def seconds(self, _plan: _Plan) -> float:
        return self.settings.seconds

    def name(self, plan: _Plan) -> str:
        talkers = zip(plan.talkers, plan.snr_db, strict=True)
        return self.unique([(own[0].speaker, f"{ratio:.2f}") for own, ratio in talkers])

    def render(self, task: Task[_Plan]) -> Rendered:
        plan, settings, rate = task.plan, self.settings, self.settings.sample_rate
        rng = generator(plan.seed)
        try:
            talk, turns = self._talk(plan, rng)
            noise, offset = self._noise(plan)
            responses = [self._response(place) for place in plan.places]
        except _UnusableError as error:
            return Rendered(None, {}, {str(error.path): str(error)})
        scene = assemble(
            talk,
            snr_db=plan.snr_db,
            sample_rate=rate,
            responses=responses or None,
            reference=settings.talk.reference,
            noise=noise,
            noise_snr_db=plan.noise_snr_db,
        )
        heard = [*scene.heard, scene.noise, *scene.references, scene.mixture]
        scene = scene.scaled(common_gain(np.stack(heard), _PEAK))
        steps = quantised(np.stack([*scene.heard, scene.noise]))
        files = {"mix": add(steps), "noise": steps[-1]}
        files |= {f"s{at + 1}": quantised(own) for at, own in enumerate(scene.references)}
        spoken: list[Segments] = [[] for _ in talk]
        for turn in turns:
            spoken[turn.talker].append((turn.start / rate, turn.end / rate))
        text = {f"{RTTM}/{task.name}.rttm": rttm(task.name, spoken)}
        return Rendered(self._row(task, turns, offset), files, {}, text)

    def _talk(self, plan: _Plan, rng: np.random.Generator) -> tuple[np.ndarray, list[Turn]]:
        """What is said (N, S), and the turns."""
        talk, rate = self.settings.talk, self.settings.sample_rate
        voices = [_voice(recordings, rate, rng) for recordings in plan.talkers]
        turns = converse(voices, self.samples, rate, talk, rng)
        if rng.random() < talk.alone:
            turns = one_alone(turns, 0, self.samples, rng)
        said = spoken(turns, len(voices), self.samples)
        return said * np.float32(from_db(_LEVEL_DB)), turns

    def _noise(self, plan: _Plan) -> tuple[np.ndarray | None, int]:
        """Noise (S,), and where in its recording it begins."""
        if plan.noise is None:
            return None, 0
        sounding = _read(plan.noise.path, self.bank.sounding)
        offset = offset_of(sounding, self.samples, plan.place)
        return cut(sounding, offset, self.samples, self.settings.sample_rate), offset

    def _response(self, place: str) -> np.ndarray:
        folder = self.rooms.root if self.rooms else None
        try:
            return read_response(place, folder, self.settings.sample_rate)
        except InputError as error:
            raise _UnusableError(room_file(place, folder), error) from error

    def _row(self, task: Task[_Plan], turns: list[Turn], offset: int) -> Row:
        plan, samples, rate = task.plan, self.samples, self.settings.sample_rate
        talking = np.zeros((len(plan.talkers), samples), bool)
        for turn in turns:
            talking[turn.talker, turn.start : turn.end] = True
        count = talking.sum(axis=0)
        parts = [("room", bool(plan.places)), ("noise", plan.noise is not None)]
        row = {
            "name": task.name,
            "split": self.folder.name,
            "recipe": "conversations",
            "mixture_path": f"mix/{task.name}.wav",
            "sample_rate": str(rate),
            "seconds": f"{samples / rate:.6f}",
            "condition": " and ".join(name for name, there in parts if there) or "dry",
            "samples": str(samples),
            "overlap": f"{(count > 1).sum() / max((count > 0).sum(), 1):.4f}",
            "talking": str(len({turn.talker for turn in turns})),
        }
        for number, recordings in enumerate(plan.talkers, 1):
            row |= {
                f"source_{number}_speaker": recordings[0].speaker,
                f"source_{number}_corpus": recordings[0].corpus,
                f"source_{number}_snr_db": f"{plan.snr_db[number - 1]:.4f}",
                f"source_{number}_room": plan.places[number - 1] if plan.places else "",
            }
        if plan.noise is not None and self.noise_root is not None:
            row |= {
                "noise_path": relative(plan.noise.path, self.noise_root),
                "noise_snr_db": f"{plan.noise_snr_db:.4f}",
                "noise_offset": str(offset),
            }
        return row


def _voice(recordings: list[Utterance], rate: int, rng: np.random.Generator) -> Voice:
    def read(number: int) -> Sound:
        item = recordings[number]
        return Waveform(_read(item.path, lambda _path: usable_speech(item, rate)))

    return Voice(rng.permutation(len(recordings)).tolist(), read, rate)


def _read(path: Path, read: Callable[[Path], np.ndarray]) -> np.ndarray:
    try:
        return read(path)
    except InputError as error:
        raise _UnusableError(path, error) from error
