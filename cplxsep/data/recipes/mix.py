"""`prepare mix`: mixtures of talkers from any speech, in the wsj0-2mix layout."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.resample import change_speed
from cplxsep.data.manifest import SPLITS, Utterance, fingerprint, load_speech
from cplxsep.data.mixing import Level, Mixed, Mode, layout, mix
from cplxsep.data.plan import MixturePlan, Range
from cplxsep.data.recipes.collection import (
    FOLDERS,
    check_speakers,
    check_splits,
    open_collection,
)
from cplxsep.data.recipes.drawn import DrawnRecipe, bucket, called, check_amount, relative
from cplxsep.data.recipes.preparation import (
    Preparation,
    Prepared,
    Rendered,
    Report,
    Task,
    Watch,
    subfolders,
    summed,
)
from cplxsep.data.recordings import usable_speech
from cplxsep.data.table import Row
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers

_SPEED_STEP = 4  # decimals, so that metadata.csv tells the factor exactly


@dataclass(frozen=True)
class MixSettings:
    """What decides the bytes, beside the speech. Hz and dB; `count` or `hours` for each split.

    `overlap` is the share of the shorter of two neighbours in which both talk; `speed` the range
    of each talker's change of speed.
    """

    sample_rate: int = 8000
    sources: int = 2
    snr: Range = (0.0, 5.0)
    mode: Mode = "min"
    level: Level = "rms"
    count: int | None = None
    hours: float | None = None
    seed: int = 0
    overlap: float = 1.0
    speed: Range | None = None

    def identity(self) -> dict[str, object]:
        """As preparation.json has it; what came later only where it is used."""
        values = asdict(self) | {"snr": list(self.snr)}
        overlap, speed = values.pop("overlap"), values.pop("speed")
        if overlap != 1.0:
            values["overlap"] = overlap
        if speed is not None:
            values["speed"] = list(speed)
        return values


@dataclass(frozen=True)
class _Plan(MixturePlan):
    speeds: tuple[float, ...]


def prepare_mix(
    speech: Path,
    out: Path,
    settings: MixSettings,
    *,
    splits: Iterable[str] = SPLITS,
    workers: Workers | None = None,
    shard: Shard = WHOLE,
    manifest_only: bool = False,
    report: Report = lambda _text: None,
    watch: Watch = lambda results, _total: results,
) -> Iterator[Prepared]:
    """Write OUT/SPLIT/{mix,s1,...}/NAME.wav and metadata.csv; yield each split when it is done.

    The bytes depend on the speech and the settings alone. An interrupted preparation is continued.
    Unusable utterances are told to `report` and replaced by others. With `manifest_only` the table
    alone is written, from which `rebuild` makes the audio.
    InputError: no usable speech, too few speakers, a speaker in two splits, OUT holds something
    else or cannot be written. UsageError: the settings make no sense, or there is no such split.
    """
    splits = list(splits)
    check_amount(settings.count, settings.hours, splits)
    check_splits(splits)
    talkers = open_collection(speech, load_speech, out, report)
    check_speakers(f"{speech}", talkers.recordings, settings.sources, "")
    planned = []
    for split in splits:
        own = talkers.split(split)
        advice = ": add speakers, or leave the split out with --split"
        check_speakers(f"split {split!r} of {speech}", own, settings.sources, advice)
        recipe = Mix(out / FOLDERS.get(split, split), settings, talkers.root, own)
        identity = {"recipe": "mix 1", **settings.identity(), "speech": fingerprint(own)}
        files = [] if manifest_only else subfolders(settings.sources)
        planned.append(
            Preparation(recipe.folder, recipe, identity, files, settings.sample_rate, shard)
        )
    for one in planned:
        yield one.run(workers, report, watch, talkers.left_out)


@dataclass(eq=False)
class Mix(DrawnRecipe[_Plan]):
    """The mixtures of one split."""

    settings: MixSettings
    root: Path
    utterances: list[Utterance]

    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], _Plan]:
        sources, snr = self.settings.sources, self.settings.snr
        planner, good = self.planner(self.utterances, bad, sources=sources, snr=snr)

        def draw(rng: np.random.Generator) -> _Plan:
            plan = planner.draw(rng)
            chosen = tuple(good[at] for at in plan.utterances)
            speeds = rng.uniform(*(self.settings.speed or (1.0, 1.0)), size=len(chosen))
            rounded = tuple(round(float(speed), _SPEED_STEP) for speed in speeds)
            return _Plan(chosen, plan.snr_db, plan.places, rounded)

        return draw

    def seconds(self, plan: _Plan) -> float:
        lengths = [
            round(1000 * self.utterances[at].seconds / speed)
            for at, speed in zip(plan.utterances, plan.speeds, strict=True)
        ]
        if self.settings.mode == "min":
            lengths = [min(lengths)] * len(lengths)
        starts = layout(lengths, self.settings.overlap)
        return max(start + length for start, length in zip(starts, lengths, strict=True)) / 1000

    def name(self, plan: _Plan) -> str:
        """As in wsj0-2mix, talkers and levels in turn."""
        levels = [plan.snr_db[1], *(-ratio for ratio in plan.snr_db[1:])]
        talkers = zip(self._talkers(plan), levels, strict=True)
        return self.unique([(called(talker), f"{level:.4f}") for talker, level in talkers])

    def _talkers(self, plan: _Plan) -> list[Utterance]:
        return [self.utterances[at] for at in plan.utterances]

    def render(self, task: Task[_Plan]) -> Rendered:
        settings, plan, talkers = self.settings, task.plan, self._talkers(task.plan)
        pieces: list[np.ndarray] = []
        bad: dict[str, str] = {}
        for talker, speed in zip(talkers, plan.speeds, strict=True):
            try:
                pieces.append(at_speed(usable_speech(talker, settings.sample_rate), speed))
            except InputError as error:
                bad[str(talker.path)] = str(error)
        if bad:
            return Rendered(None, {}, bad)
        lengths = [len(piece) for piece in pieces]
        offsets = [0] * len(pieces)
        if settings.mode == "min":
            shortest = min(lengths)
            offsets = [
                int(place * (length - shortest + 1))
                for place, length in zip(plan.places, lengths, strict=True)
            ]
            lengths = [shortest] * len(pieces)
        starts = layout(lengths, settings.overlap)
        used = zip(pieces, offsets, lengths, strict=True)
        silent = [not piece[start : start + length].any() for piece, start, length in used]
        files: dict[str, np.ndarray] = {}
        if not any(silent):
            mixed = mix(
                pieces,
                snr_db=plan.snr_db,
                sample_rate=settings.sample_rate,
                level=settings.level,
                mode=settings.mode,
                offsets=offsets if settings.mode == "min" else starts,
                starts=starts,
            )
            files = summed(mixed.sources)
            silent = [not files[f"s{number + 1}"].any() for number in range(len(pieces))]
            if silent[0]:  # the others were brought to its level
                silent[1:] = [False] * (len(pieces) - 1)
        if any(silent):
            for talker, is_silent in zip(talkers, silent, strict=True):
                if is_silent:
                    bad[str(talker.path)] = f"{talker.path} is silent where used"
            return Rendered(None, {}, bad)
        places = list(zip(talkers, offsets, starts, lengths, strict=True))
        return Rendered(self._row(task, mixed, places), files, {})

    def _row(
        self, task: Task[_Plan], mixed: Mixed, places: list[tuple[Utterance, int, int, int]]
    ) -> Row:
        """A mixture's row; `places` are each talker's offset, start and length in samples."""
        rate, plan = self.settings.sample_rate, task.plan
        corpora = {talker.corpus for talker, *_ in places}
        row = {
            "name": task.name,
            "split": self.folder.name,
            "mixture_path": f"mix/{task.name}.wav",
            "sample_rate": str(rate),
            "seconds": f"{len(mixed.mixture) / rate:.6f}",
            "condition": corpora.pop() if len(corpora) == 1 else "mixed",
            "samples": str(len(mixed.mixture)),
            "peak_gain": f"{mixed.common:.9g}",
        }
        if len(places) == 2:
            row["snr_bucket"] = bucket(plan.snr_db[1])
        for number, (talker, offset, start, samples) in enumerate(places):
            source = f"source_{number + 1}"
            row |= {
                f"{source}_path": relative(talker.path, self.root),
                f"{source}_speaker": talker.speaker,
                f"{source}_corpus": talker.corpus,
                f"{source}_snr_db": f"{plan.snr_db[number]:.4f}",
                f"{source}_gain": f"{mixed.own[number]:.9g}",
                f"{source}_speed": str(plan.speeds[number]),
                f"{source}_offset": str(offset),
                f"{source}_start": str(start),
                f"{source}_samples": str(samples),
            }
        return row


def at_speed(audio: np.ndarray, speed: float) -> np.ndarray:
    """Audio (S,) played `speed` times as fast."""
    return audio if speed == 1.0 else change_speed(audio, speed)
