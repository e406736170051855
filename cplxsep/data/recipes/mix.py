"""`prepare mix`: mixtures of talkers from any speech, in the wsj0-2mix layout."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cplxsep.data.manifest import (
    SPLITS,
    Utterance,
    assign_splits,
    by_speaker,
    check_disjoint,
    fingerprint,
    load_speech,
)
from cplxsep.data.mixing import Level, Mode
from cplxsep.data.parallel import default_workers, ordered_map
from cplxsep.data.plan import MixturePlan, Planner, Range, generator
from cplxsep.data.recipes.ledger import Ledger, Row
from cplxsep.data.recipes.render import Rendered, Task, mixture_name, render, subfolders
from cplxsep.errors import InputError, UsageError

FOLDERS = dict(zip(SPLITS, ("tr", "cv", "tt"), strict=True))
Report = Callable[[str], None]
# How the caller shows progress: it gets the results and their number, and yields them on.
Watch = Callable[[Iterator[Rendered], int], Iterable[Rendered]]


@dataclass(frozen=True)
class MixSettings:
    """What decides the bytes, beside the speech. Hz and dB; `count` or `hours` for each split."""

    sample_rate: int = 8000
    sources: int = 2
    snr: Range = (0.0, 5.0)
    mode: Mode = "min"
    level: Level = "rms"
    count: int | None = None
    hours: float | None = None
    seed: int = 0


@dataclass(frozen=True)
class PreparedSplit:
    """A finished split: its table, how much it is, and which utterances were left out and why."""

    metadata: Path
    mixtures: int
    seconds: float
    left_out: list[str]


def prepare_mix(
    speech: Path,
    out: Path,
    settings: MixSettings,
    *,
    splits: Iterable[str] = SPLITS,
    workers: int | None = None,
    report: Report = lambda _text: None,
    watch: Watch = lambda results, _total: results,
) -> Iterator[PreparedSplit]:
    """Write OUT/SPLIT/{mix,s1,...}/NAME.wav and metadata.csv; yield each split when it is done.

    The bytes depend on the speech and the settings alone. An interrupted preparation is continued.
    Unusable utterances are told to `report` and replaced by others.
    InputError: no usable speech, too few speakers, a speaker in two splits, OUT holds something
    else or cannot be written. UsageError: the settings make no sense, or there is no such split.
    """
    if (settings.count is None) == (settings.hours is None):
        raise UsageError("give either a count of mixtures or hours, for each split")
    if not (settings.count or settings.hours or 0) > 0 or not (splits := list(splits)):
        raise UsageError("nothing to prepare: give a count or hours above 0, and a split")
    root = (speech if speech.is_dir() else speech.parent).resolve()
    if speech.is_dir() and out.resolve().is_relative_to(root):
        raise UsageError(f"the output {out} lies in the speech folder {speech}: choose another")
    unreadable: list[str] = []
    utterances = load_speech(speech, lambda error: unreadable.append(str(error)))
    for reason in unreadable:
        report(reason)
    _check_speakers(f"{speech}", utterances, settings.sources, "")
    utterances = assign_splits(utterances)
    check_disjoint(utterances)
    jobs = []
    for split in splits:
        own = [item for item in utterances if item.split == split]
        if not own and split not in SPLITS:
            known = ", ".join(sorted({item.split for item in utterances}))
            raise UsageError(f"{speech} has no split {split!r}, only {known}")
        advice = ": add speakers, or leave the split out with --split"
        _check_speakers(f"split {split!r} of {speech}", own, settings.sources, advice)
        jobs.append(_Split(out / FOLDERS.get(split, split), root, own, settings))
    for job in jobs:
        yield job.prepare(workers or default_workers(), report, watch, unreadable)


def _check_speakers(where: str, utterances: list[Utterance], sources: int, advice: str) -> None:
    if (count := len(by_speaker(utterances))) < sources:
        raise InputError(
            f"{where} has {count} speaker{'' if count == 1 else 's'}, "
            f"mixtures of {sources} talkers need {sources}{advice}"
        )


class _Split:
    """The preparation of one split."""

    def __init__(
        self, folder: Path, root: Path, utterances: list[Utterance], settings: MixSettings
    ) -> None:
        self.folder = folder
        self.root = root
        self.utterances = utterances
        self.settings = settings
        self.bad: dict[int, str] = {}
        identity = {
            "recipe": "mix 1",
            **asdict(settings),
            "snr": list(settings.snr),
            "speech": fingerprint(utterances),
        }
        self.ledger = Ledger(folder, identity, subfolders(settings.sources))

    def prepare(
        self, workers: int, report: Report, watch: Watch, unreadable: list[str]
    ) -> PreparedSplit:
        """Do what is not done yet."""
        if done := self.ledger.claim():
            rows, left_out = done
            for reason in left_out:
                report(reason)
        else:
            rows = self._render_all(workers, report, watch)
            left_out = [self.bad[position] for position in sorted(self.bad)]
            self.ledger.finish(rows, left_out)
        seconds = sum(float(row["seconds"]) for row in rows)
        return PreparedSplit(self.ledger.metadata, len(rows), seconds, unreadable + left_out)

    def _render_all(self, workers: int, report: Report, watch: Watch) -> list[Row]:
        """Rows of all mixtures; those that met bad utterances are drawn again without these."""
        rows: dict[int, Row] = {}
        names: set[str] = set()
        turn = 0
        drawn = self._first_turn()
        while drawn:
            tasks = [self._task(index, plan, names) for index, plan in drawn.items()]
            results = ordered_map(self._render, tasks, workers)
            again = []
            for task, result in zip(tasks, watch(results, len(tasks)), strict=True):
                if result.row is None:
                    again.append(task.index)
                    for position in result.bad.keys() - self.bad.keys():
                        report(result.bad[position])
                    self.bad |= result.bad
                else:
                    rows[task.index] = result.row
                    self.ledger.record(result.row)
            turn += 1
            draw = self._draw(turn) if again else None
            drawn = {index: draw(index) for index in again} if draw else {}
        return [rows[index] for index in sorted(rows)]

    def _render(self, task: Task) -> Rendered:
        row = self.ledger.finished(task.name)
        return Rendered(row, {}) if row else render(task)

    def _draw(self, turn: int) -> Callable[[int], MixturePlan]:
        """A function that draws mixture i from the utterances that are not known as bad."""
        good = [at for at in range(len(self.utterances)) if at not in self.bad]
        split = zlib.crc32(self.folder.name.encode())
        try:
            planner = Planner(
                [self.utterances[at] for at in good],
                sources=self.settings.sources,
                snr=self.settings.snr,
            )
        except InputError as error:
            raise InputError(f"{self.folder}: without the bad utterances, {error}") from error

        def draw(index: int) -> MixturePlan:
            plan = planner.draw(generator(self.settings.seed, split, index, turn))
            chosen = tuple(good[at] for at in plan.utterances)
            return MixturePlan(chosen, plan.snr_db, plan.places)

        return draw

    def _first_turn(self) -> dict[int, MixturePlan]:
        """As many mixtures as asked for; hours go by the lengths that the manifest gives."""
        draw = self._draw(0)
        if self.settings.count is not None:
            return {index: draw(index) for index in range(self.settings.count)}
        bound = min if self.settings.mode == "min" else max
        wanted, planned = (self.settings.hours or 0.0) * 3600, 0.0
        plans: dict[int, MixturePlan] = {}
        while planned < wanted:
            plan = plans[len(plans)] = draw(len(plans))
            planned += bound(self.utterances[at].seconds for at in plan.utterances)
        return plans

    def _task(self, index: int, plan: MixturePlan, names: set[str]) -> Task:
        talkers = tuple(self.utterances[at] for at in plan.utterances)
        name = plain = mixture_name(plan, talkers)
        copy = 1
        # Some file systems take names that differ in case for the same.
        while name.casefold() in names:
            copy += 1
            name = f"{plain}_{copy}"
        names.add(name.casefold())
        return Task(
            index=index,
            name=name,
            plan=plan,
            talkers=talkers,
            folder=self.folder,
            root=self.root,
            sample_rate=self.settings.sample_rate,
            level=self.settings.level,
            mode=self.settings.mode,
        )
