"""Does planned jobs, several at once where that helps, and yields what became of each."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cplxsep.engine.compile_ahead import compile_ahead
from cplxsep.engine.job import Job
from cplxsep.engine.one_file import Settings, separate_file
from cplxsep.engine.outcome import Outcome, failure
from cplxsep.engine.plan import PlanItem
from cplxsep.errors import InputError
from cplxsep.parallel import in_order

if TYPE_CHECKING:
    from cplxsep.engine.separator import Separator

MOST_FILES = 32  # at once, on a GPU

WatchJob = Callable[[Job, Iterable[np.ndarray], int | None], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Running:
    """What a model runs as.

    rates: in Hz, ascending, all that it can run at. used: by the recordings' rates, those that they
    are run at. forms: of the network, in words.
    """

    device: str
    precision: str
    rates: tuple[int, ...]
    used: dict[int, int]
    forms: list[str]


@dataclass
class Work:
    """One model's work on many files.

    separator: None only plans. exist: overwrite, skip or error, where outputs are there.
    running: what the model runs as, once that is known. rates: of the recordings, in Hz.
    """

    settings: Settings
    exist: str
    separator: "Separator | None" = None
    running: Running | None = None
    rates: list[int] = field(default_factory=list)

    def skips(self, job: Job) -> bool:
        """Whether a job is left out, because an earlier run did it."""
        return self.exist == "skip" and job.is_there

    def rates_of(self, jobs: Iterable[Job]) -> list[int]:
        """The rates in Hz of the recordings that are not skipped."""
        return list({job.found.info.sample_rate: None for job in jobs if not self.skips(job)})

    def load(self, model: Path, options: dict[str, Any], rates: list[int]) -> None:
        """Load a model, and make ready all that recordings of these rates need before the first.

        ModelError, DeviceError, UsageError: as for `Separator`.
        """
        compile_ahead(model, options["device"])
        from cplxsep.engine.separator import Separator

        separator = Separator.load(model, **options)
        forms = dict.fromkeys(separator.at(rate).form for rate in rates)
        used = {rate: separator.rate_for(rate) for rate in rates}
        self.separator, self.rates = separator, rates
        self.running = Running(
            separator.device, separator.precision, separator.rates, used, list(forms)
        )

    def outcomes(self, items: Sequence[PlanItem], watch: WatchJob) -> Iterator[Outcome]:
        """What becomes of each item, in order; on a GPU several files are under way at once.

        Args:
            watch: passes on the blocks read of a job; it gets their number, None if unknown.

        Raises:
            DeviceError: the device or its memory does not suffice, for the item that comes next.
        """
        files, chunks = self._shares(len(items))
        cancelled = threading.Event()

        def do(item: PlanItem) -> Outcome:
            return self._do(item, chunks, watch, cancelled) if isinstance(item, Job) else item

        with ThreadPoolExecutor(files) as pool:
            try:
                yield from in_order(pool, do, items, max(len(items), 1))
            finally:
                cancelled.set()

    def do(self, job: Job) -> Outcome:
        """What becomes of one of many jobs, some of which may be done in other threads."""
        _, chunks = self._shares(MOST_FILES)
        return self._do(job, chunks, lambda _job, blocks, _total: blocks, threading.Event())

    def _shares(self, items: int) -> tuple[int, int]:
        """Of so many files how many are under way at once, and how many chunks of each."""
        runs = [self.separator.at(rate) for rate in self.rates] if self.separator else []
        batch = max((at_rate.batch for at_rate in runs), default=1)
        several = batch > 1 and any(at_rate.shares_batches for at_rate in runs)
        files = min(2 * batch, MOST_FILES, max(items, 1)) if several else 1
        return files, -(-2 * batch // files) if files > 1 else batch

    def _do(self, job: Job, chunks: int, watch: WatchJob, cancelled: threading.Event) -> Outcome:
        written = [str(path) for path in job.written]
        if self.skips(job):
            return Outcome(job.label, "skipped", [*filter(os.path.exists, written)])
        try:
            if self.exist == "error" and (there := [*filter(os.path.exists, written)]):
                raise InputError(f"{job.label}: {there[0]} exists already")
            if self.separator is None:
                return Outcome(job.label, "planned", written)
            return separate_file(
                self.separator,
                job,
                self.settings,
                lambda blocks, total: watch(job, blocks, total),
                block=self.separator.at(job.found.info.sample_rate).seconds(chunks),
                cancelled=cancelled,
            )
        except InputError as error:
            return failure(job.label, job.found.path, error)
