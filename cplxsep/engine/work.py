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


@dataclass
class Work:
    """One model's work on many files.

    separator: None only plans. exist: overwrite, skip or error, where outputs are there.
    rates: of the recordings, in Hz.
    """

    settings: Settings
    exist: str
    separator: "Separator | None" = None
    rates: list[int] = field(default_factory=list)

    def skips(self, job: Job) -> bool:
        """Whether a job is left out, because all its outputs are there."""
        return self.exist == "skip" and job.is_there

    def load(self, model: Path, options: dict[str, Any], jobs: Iterable[Job]) -> None:
        """Load a model, and make ready all that jobs need before the first of them.

        ModelError, DeviceError, UsageError: as for `Separator`.
        """
        compile_ahead(model, options["device"])
        from cplxsep.engine.separator import Separator

        self.separator = Separator.load(model, **options)
        self.rates = list({job.found.info.sample_rate: None for job in jobs if not self.skips(job)})
        for rate in self.rates:
            self.separator.at(rate)

    def outcomes(self, items: Sequence[PlanItem], watch: WatchJob) -> Iterator[Outcome]:
        """What becomes of each item, in order; on a GPU several files are under way at once.

        Args:
            watch: passes on the blocks read of a job; it gets their number, None if unknown.

        Raises:
            DeviceError: the device or its memory does not suffice, for the item that comes next.
        """
        runs = [self.separator.at(rate) for rate in self.rates] if self.separator else []
        batch = max((at_rate.batch for at_rate in runs), default=1)
        files = 1 if batch == 1 else min(2 * batch, MOST_FILES, max(len(items), 1))
        chunks = -(-2 * batch // files) if files > 1 else batch  # of each file
        cancelled = threading.Event()

        def do(item: PlanItem) -> Outcome:
            return self._do(item, chunks, watch, cancelled) if isinstance(item, Job) else item

        with ThreadPoolExecutor(files) as pool:
            try:
                yield from in_order(pool, do, items, max(len(items), 1))
            finally:
                cancelled.set()

    def _do(self, job: Job, chunks: int, watch: WatchJob, cancelled: threading.Event) -> Outcome:
        written = [str(path) for path in job.written]
        if self.skips(job):
            return Outcome(job.label, "skipped", written)
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
