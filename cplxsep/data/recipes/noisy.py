"""`prepare noisy`: speech in noise, in rooms or not, in the layout SPLIT/{mix,s1,noise}."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cplxsep.config.data import Reference
from cplxsep.data.manifest import SPLITS, Utterance, fingerprint, load_speech
from cplxsep.data.mixing import Level, Mixed, add, mix
from cplxsep.data.noise import load_noise, odds
from cplxsep.data.plan import Planner, Range
from cplxsep.data.recipes.collection import (
    FOLDERS,
    check_speakers,
    check_splits,
    open_collection,
)
from cplxsep.data.recipes.drawn import DrawnRecipe, bucket, called, check_amount, relative
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
)
from cplxsep.data.recordings import usable, usable_speech
from cplxsep.data.scene import in_room
from cplxsep.data.table import Row
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers

SUBFOLDERS = ["mix", "s1", "noise"]


@dataclass(frozen=True)
class NoisySettings:
    """What decides the bytes, beside the recordings. Hz and dB; `count` or `hours` a split."""

    sample_rate: int = 16000
    snr: Range = (0.0, 15.0)
    level: Level = "active"
    reference: Reference = "early"
    count: int | None = None
    hours: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class _Plan:
    """`place` is where in the noise it begins; `room` as metadata.csv tells it, "" for none."""

    speech: Utterance
    noise: Utterance
    snr_db: float
    place: float
    room: str


def prepare_noisy(
    speech: Path,
    noise: Path,
    out: Path,
    settings: NoisySettings,
    *,
    rooms: str | None = None,
    splits: Iterable[str] = SPLITS,
    workers: Workers | None = None,
    shard: Shard = WHOLE,
    manifest_only: bool = False,
    report: Report = lambda _text: None,
    watch: Watch = lambda results, _total: results,
) -> Iterator[Prepared]:
    """Write OUT/SPLIT/{mix,s1,noise}/NAME.wav and metadata.csv; yield each split when done.

    As `prepare_mix`. Noise has splits of its own, by recording; `rooms` is a folder of measured
    responses, used in all splits, or "simulated".
    InputError, UsageError: as `prepare_mix`, also for the noise and the rooms.
    """
    splits = list(splits)
    check_amount(settings.count, settings.hours, splits)
    check_splits(splits)
    places, unread = find_rooms(rooms, report)
    talkers = open_collection(speech, load_speech, out, report)
    noises = open_collection(noise, load_noise, out, report)
    bank = NoiseBank(settings.sample_rate)
    planned = []
    for split in splits:
        own, sounds = talkers.split(split), noises.split(split)
        advice = ": leave the split out with --split"
        check_speakers(f"split {split!r} of {speech}", own, 1, advice)
        if not sounds:
            raise InputError(f"split {split!r} of {noise} has no recording{advice}")
        folder, roots = out / FOLDERS.get(split, split), (talkers.root, noises.root)
        recipe = _Noisy(folder, settings, roots, own, sounds, places, bank)
        identity = {
            "recipe": "noisy 1",
            **asdict(settings),
            "snr": list(settings.snr),
            "speech": fingerprint(own),
            "noise": fingerprint(sounds),
            "rooms": places and places.identity,
        }
        files = [] if manifest_only else SUBFOLDERS
        planned.append(Preparation(folder, recipe, identity, files, settings.sample_rate, shard))
    for one in planned:
        yield one.run(workers, report, watch, unread + talkers.left_out + noises.left_out)


@dataclass(eq=False)
class _Noisy(DrawnRecipe[_Plan]):
    """The mixtures of one split."""

    settings: NoisySettings
    roots: tuple[Path, Path]  # of speech and noise
    speech: list[Utterance]
    noise: list[Utterance]
    rooms: Rooms | None
    bank: NoiseBank

    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], _Plan]:
        good = [at for at, item in enumerate(self.speech) if str(item.path) not in bad]
        sounds = [at for at, item in enumerate(self.noise) if str(item.path) not in bad]
        if not good or not sounds:
            what = "noise" if good else "speech"
            raise InputError(f"{self.folder}: no recording of {what} can be used")
        planner = Planner([self.speech[at] for at in good], sources=1, snr=(0.0, 0.0))
        likely = odds([self.noise[at].seconds for at in sounds])
        rooms = self.rooms.without(bad) if self.rooms else None

        def draw(rng: np.random.Generator) -> _Plan:
            talker = good[planner.draw(rng).utterances[0]]
            snr = float(rng.uniform(*self.settings.snr))
            sound = sounds[int(rng.choice(len(sounds), p=likely))]
            place = float(rng.random())
            room = rooms.draw(rng) if rooms else ""
            return _Plan(self.speech[talker], self.noise[sound], snr, place, room)

        return draw

    def seconds(self, plan: _Plan) -> float:
        return plan.speech.seconds

    def name(self, plan: _Plan) -> str:
        parts = [(called(plan.speech), f"{plan.snr_db:.2f}"), (plan.noise.path.stem, "")]
        return self.unique(parts).rstrip("_")

    def render(self, task: Task[_Plan]) -> Rendered:
        plan, rate = task.plan, self.settings.sample_rate
        folder = self.rooms.root if self.rooms else None
        bad: dict[str, str] = {}
        try:
            dry = usable_speech(plan.speech, rate)
        except InputError as error:
            bad[str(plan.speech.path)] = str(error)
        try:
            sounding = self.bank.sounding(plan.noise.path)
        except InputError as error:
            bad[str(plan.noise.path)] = str(error)
        if bad:
            return Rendered(None, {}, bad)
        try:
            wet, heard = _in_room(dry, plan.room, folder, self.settings.reference, rate)
        except InputError as error:
            return Rendered(None, {}, {str(room_file(plan.room, folder)): str(error)})
        offset = offset_of(sounding, len(dry), plan.place)
        noise = cut(sounding, offset, len(dry), rate)
        mixed = mix(
            [wet, noise],
            snr_db=(0.0, plan.snr_db),
            sample_rate=rate,
            level=self.settings.level,
            mode="max",
            reference=heard,
        )
        assert mixed.reference is not None
        files = audio(mixed.sources, mixed.reference)
        for recording, signal in ((plan.speech, files["s1"]), (plan.noise, files["noise"])):
            if not signal.any():
                bad[str(recording.path)] = f"{recording.path} is silent where used"
                break  # the noise was brought to the speech's level
        if bad:
            return Rendered(None, {}, bad)
        return Rendered(self._row(task, mixed, offset), files, {})

    def _row(self, task: Task[_Plan], mixed: Mixed, offset: int) -> Row:
        plan, settings = task.plan, self.settings
        speech_root, noise_root = self.roots
        return {
            "name": task.name,
            "split": self.folder.name,
            "mixture_path": f"mix/{task.name}.wav",
            "sample_rate": str(settings.sample_rate),
            "seconds": f"{len(mixed.mixture) / settings.sample_rate:.6f}",
            "condition": plan.noise.corpus,
            "samples": str(len(mixed.mixture)),
            "snr_db": f"{plan.snr_db:.4f}",
            "snr_bucket": bucket(plan.snr_db),
            "peak_gain": f"{mixed.common:.9g}",
            "source_1_path": relative(plan.speech.path, speech_root),
            "source_1_speaker": plan.speech.speaker,
            "source_1_corpus": plan.speech.corpus,
            "source_1_gain": f"{mixed.own[0]:.9g}",
            "noise_path": relative(plan.noise.path, noise_root),
            "noise_corpus": plan.noise.corpus,
            "noise_gain": f"{mixed.own[1]:.9g}",
            "noise_offset": str(offset),
            "room": plan.room,
            "reference": settings.reference if plan.room else "",
        }


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
