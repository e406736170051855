"""`prepare conversations`: talkers who take turns, in the layout SPLIT/{mix,s1,...,noise,rttm}."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cplxsep.config import ConversationConfig
from cplxsep.data.manifest import SPLITS, Utterance, fingerprint, load_speech
from cplxsep.data.noise import load_noise, odds
from cplxsep.data.plan import Planner, Range
from cplxsep.data.recipes.collection import FOLDERS, Collection, check_speakers, open_collection
from cplxsep.data.recipes.drawn import DrawnRecipe, check_amount
from cplxsep.data.recipes.drawn_rooms import Rooms, find_rooms
from cplxsep.data.recipes.noise_bank import NoiseBank
from cplxsep.data.recipes.preparation import Preparation, Prepared, Rendered, Report, Watch
from cplxsep.data.recipes.render import subfolders
from cplxsep.data.recipes.render_conversation import ConversationTask, render
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers


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
    talkers: tuple[tuple[int, ...], ...]
    snr_db: tuple[float, ...]
    seed: int
    noise: int
    noise_snr_db: float
    place: float
    places: tuple[str, ...]


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
        recipe = _Conversations(folder, talkers, own, noises, sounds, settings, places, bank)
        identity = {
            "recipe": "conversations 1",
            **_identity(settings),
            "speech": fingerprint(own),
            "noise": fingerprint(sounds) if noises else None,
            "rooms": places and [list(item) for item in places.files],
        }
        files = [*subfolders(settings.sources), "noise"]
        planned.append(Preparation(folder, recipe, identity, files, settings.sample_rate, shard))
    left_out = unread + talkers.left_out + (noises.left_out if noises else [])
    for one in planned:
        yield one.run(workers, report, watch, left_out)


def _identity(settings: ConversationSettings) -> dict[str, object]:
    """The settings as preparation.json has them: lists, no tuples."""
    talk = settings.talk.model_dump(mode="json")
    values = asdict(settings) | {"snr": list(settings.snr), "noise_snr": list(settings.noise_snr)}
    return values | {"talk": talk}


class _Conversations(DrawnRecipe[_Plan, ConversationTask]):
    """The conversations of one split."""

    def __init__(
        self,
        folder: Path,
        talkers: Collection,
        speech: list[Utterance],
        noises: Collection | None,
        sounds: list[Utterance],
        settings: ConversationSettings,
        rooms: Rooms | None,
        bank: NoiseBank,
    ) -> None:
        super().__init__(folder, settings.seed, settings.count, settings.hours)
        self._talkers, self._speech = talkers, speech
        self._noises, self._sounds = noises, sounds
        self._settings = settings
        self._rooms = rooms
        self._bank = bank

    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], _Plan]:
        settings = self._settings
        good = [at for at, item in enumerate(self._speech) if str(item.path) not in bad]
        sounds = [at for at, item in enumerate(self._sounds) if str(item.path) not in bad]
        if self._noises and not sounds:
            raise InputError(f"{self.folder}: no recording of noise can be used")
        try:
            planner = Planner(
                [self._speech[at] for at in good], sources=settings.sources, snr=settings.snr
            )
        except InputError as error:
            raise InputError(f"{self.folder}: without the bad utterances, {error}") from error
        likely = odds([self._sounds[at].seconds for at in sounds]) if sounds else None
        rooms = self._rooms.without(bad) if self._rooms else None

        def draw(rng: np.random.Generator) -> _Plan:
            plan = planner.draw(rng)
            talkers = tuple(
                tuple(good[at] for at in planner.recordings_of(first)) for first in plan.utterances
            )
            return _Plan(
                talkers=talkers,
                snr_db=plan.snr_db,
                seed=int(rng.integers(1 << 32)),
                noise=sounds[int(rng.choice(len(sounds), p=likely))] if sounds else -1,
                noise_snr_db=float(rng.uniform(*settings.noise_snr)),
                place=float(rng.random()),
                places=tuple(rooms.draw_places(len(talkers), rng)) if rooms else (),
            )

        return draw

    def seconds(self, _plan: _Plan) -> float:
        return self._settings.seconds

    def task(self, index: int, plan: _Plan) -> ConversationTask:
        settings = self._settings
        talkers = tuple(tuple(self._speech[at] for at in own) for own in plan.talkers)
        parts = [
            (own[0].speaker, f"{ratio:.2f}")
            for own, ratio in zip(talkers, plan.snr_db, strict=True)
        ]
        return ConversationTask(
            index=index,
            name=self.unique(parts),
            talkers=talkers,
            snr_db=plan.snr_db,
            seed=plan.seed,
            samples=round(settings.seconds * settings.sample_rate),
            config=settings.talk,
            noise=self._sounds[plan.noise] if self._sounds else None,
            noise_snr_db=plan.noise_snr_db,
            place=plan.place,
            places=plan.places,
            split=self.folder.name,
            noise_root=self._noises.root if self._noises else None,
            rooms=self._rooms.root if self._rooms else None,
            bank=self._bank,
            sample_rate=settings.sample_rate,
        )

    def render(self, task: ConversationTask) -> Rendered:
        return render(task)
