"""`prepare mix`: mixtures of talkers from any speech, in the wsj0-2mix layout."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from cplxsep.data.manifest import SPLITS, Utterance, fingerprint, load_speech
from cplxsep.data.mixing import Level, Mode, layout
from cplxsep.data.plan import MixturePlan, Planner, Range
from cplxsep.data.recipes.collection import FOLDERS, check_speakers, open_collection
from cplxsep.data.recipes.drawn import DrawnRecipe, check_amount
from cplxsep.data.recipes.preparation import Preparation, Prepared, Rendered, Report, Watch
from cplxsep.data.recipes.render import MixTask, mixture_parts, render, subfolders
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
class _Plan:
    mixture: MixturePlan
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
    talkers = open_collection(speech, load_speech, out, report)
    check_speakers(f"{speech}", talkers.recordings, settings.sources, "")
    planned = []
    for split in splits:
        own = talkers.split(split)
        advice = ": add speakers, or leave the split out with --split"
        check_speakers(f"split {split!r} of {speech}", own, settings.sources, advice)
        recipe = _Mix(out / FOLDERS.get(split, split), talkers.root, own, settings)
        identity = {"recipe": "mix 1", **settings.identity(), "speech": fingerprint(own)}
        files = [] if manifest_only else subfolders(settings.sources)
        planned.append(
            Preparation(recipe.folder, recipe, identity, files, settings.sample_rate, shard)
        )
    for one in planned:
        yield one.run(workers, report, watch, talkers.left_out)


class _Mix(DrawnRecipe[_Plan, MixTask]):
    """The mixtures of one split."""

    def __init__(
        self, folder: Path, root: Path, utterances: list[Utterance], settings: MixSettings
    ) -> None:
        super().__init__(folder, settings.seed, settings.count, settings.hours)
        self._root = root
        self._utterances = utterances
        self._settings = settings

    def draws(self, bad: set[str]) -> Callable[[np.random.Generator], _Plan]:
        settings = self._settings
        good = [at for at, item in enumerate(self._utterances) if str(item.path) not in bad]
        try:
            planner = Planner(
                [self._utterances[at] for at in good], sources=settings.sources, snr=settings.snr
            )
        except InputError as error:
            raise InputError(f"{self.folder}: without the bad utterances, {error}") from error

        def draw(rng: np.random.Generator) -> _Plan:
            plan = planner.draw(rng)
            chosen = tuple(good[at] for at in plan.utterances)
            speeds = rng.uniform(*(settings.speed or (1.0, 1.0)), size=len(chosen))
            return _Plan(
                MixturePlan(chosen, plan.snr_db, plan.places),
                tuple(round(float(speed), _SPEED_STEP) for speed in speeds),
            )

        return draw

    def seconds(self, plan: _Plan) -> float:
        lengths = [
            round(1000 * self._utterances[at].seconds / speed)
            for at, speed in zip(plan.mixture.utterances, plan.speeds, strict=True)
        ]
        if self._settings.mode == "min":
            lengths = [min(lengths)] * len(lengths)
        starts = layout(lengths, self._settings.overlap)
        return max(start + length for start, length in zip(starts, lengths, strict=True)) / 1000

    def task(self, index: int, plan: _Plan) -> MixTask:
        talkers = tuple(self._utterances[at] for at in plan.mixture.utterances)
        return MixTask(
            index=index,
            name=self.unique(mixture_parts(plan.mixture.snr_db, talkers)),
            talkers=talkers,
            snr_db=plan.mixture.snr_db,
            places=plan.mixture.places,
            speeds=plan.speeds,
            split=self.folder.name,
            root=self._root,
            sample_rate=self._settings.sample_rate,
            level=self._settings.level,
            mode=self._settings.mode,
            overlap=self._settings.overlap,
        )

    def render(self, task: MixTask) -> Rendered:
        return render(task)
