"""`prepare noisy`: speech in noise, in rooms or not, in the layout SPLIT/{mix,s1,noise}."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cplxsep.config.data import Reference
from cplxsep.data.manifest import SPLITS, Utterance, fingerprint, load_speech
from cplxsep.data.mixing import Level
from cplxsep.data.noise import load_noise, odds
from cplxsep.data.plan import Planner, Range
from cplxsep.data.recipes.collection import FOLDERS, check_speakers, open_collection
from cplxsep.data.recipes.drawn import DrawnRecipe, check_amount
from cplxsep.data.recipes.drawn_rooms import Rooms, find_rooms
from cplxsep.data.recipes.noise_bank import NoiseBank
from cplxsep.data.recipes.preparation import Preparation, Prepared, Rendered, Report, Watch
from cplxsep.data.recipes.render_noisy import NoisyTask, render
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
    speech: int
    noise: int
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
        recipe = _Noisy(
            out / FOLDERS.get(split, split),
            (talkers.root, noises.root),
            own,
            sounds,
            settings,
            places,
            bank,
        )
        identity = {
            "recipe": "noisy 1",
            **asdict(settings),
            "snr": list(settings.snr),
            "speech": fingerprint(own),
            "noise": fingerprint(sounds),
            "rooms": places and [list(item) for item in places.files],
        }
        files = [] if manifest_only else SUBFOLDERS
        planned.append(
            Preparation(recipe.folder, recipe, identity, files, settings.sample_rate, shard)
        )
    for one in planned:
        yield one.run(workers, report, watch, unread + talkers.left_out + noises.left_out)


class _Noisy(DrawnRecipe[_Plan, NoisyTask]):
    """The mixtures of one split."""

    def __init__(
        self,
        folder: Path,
        roots: tuple[Path, Path],
        speech: list[Utterance],
        noise: list[Utterance],
        settings: NoisySettings,
        rooms: Rooms | None,
        bank: NoiseBank,
    ) -> None:
        super().__init__(folder, settings.seed, settings.count, settings.hours)
        self._roots = roots
        self._speech, self._noise = speech, noise
        self._settings = settings
        self._rooms = rooms
        self._bank = bank

    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], _Plan]:
        good = [at for at, item in enumerate(self._speech) if str(item.path) not in bad]
        sounds = [at for at, item in enumerate(self._noise) if str(item.path) not in bad]
        if not good or not sounds:
            what = "noise" if good else "speech"
            raise InputError(f"{self.folder}: no recording of {what} can be used")
        planner = Planner([self._speech[at] for at in good], sources=1, snr=(0.0, 0.0))
        likely = odds([self._noise[at].seconds for at in sounds])
        rooms = self._rooms.without(bad) if self._rooms else None

        def draw(rng: np.random.Generator) -> _Plan:
            talker = good[planner.draw(rng).utterances[0]]
            snr = float(rng.uniform(*self._settings.snr))
            sound = sounds[int(rng.choice(len(sounds), p=likely))]
            place = float(rng.random())
            return _Plan(talker, sound, snr, place, rooms.draw(rng) if rooms else "")

        return draw

    def seconds(self, plan: _Plan) -> float:
        return self._speech[plan.speech].seconds

    def task(self, index: int, plan: _Plan) -> NoisyTask:
        speech, noise = self._speech[plan.speech], self._noise[plan.noise]
        stem = speech.path.stem
        text = stem if stem.startswith(speech.speaker) else f"{speech.speaker}-{stem}"
        return NoisyTask(
            index=index,
            name=self.unique([(text, f"{plan.snr_db:.2f}"), (noise.path.stem, "")]).rstrip("_"),
            speech=speech,
            noise=noise,
            snr_db=plan.snr_db,
            place=plan.place,
            room=plan.room,
            split=self.folder.name,
            roots=self._roots,
            rooms=self._rooms.root if self._rooms else None,
            bank=self._bank,
            sample_rate=self._settings.sample_rate,
            level=self._settings.level,
            reference=self._settings.reference,
        )

    def render(self, task: NoisyTask) -> Rendered:
        return render(task)
