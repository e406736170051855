"""Does planned jobs on the workers of a cluster, each of which loads the model once."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from cplxsep.audio.atomic import TEMPORARY, sweep
from cplxsep.engine.job import Job
from cplxsep.engine.outcome import Outcome, failure
from cplxsep.engine.plan import PlanItem
from cplxsep.engine.work import Running, Work
from cplxsep.errors import DeviceError, InputError
from cplxsep.model_folder import catalogue
from cplxsep.parallel import in_order

GONE = 5.0
"""Seconds that ended workers may take to be gone."""


class FarWork:
    """What workers do with jobs; itself in this process and, a copy, in each worker.

    model: folder. options: of the Separator. jobs: all that will come.
    """

    def __init__(self, work: Work, model: Path, options: dict[str, Any], jobs: Sequence[Job]):
        self._work = work
        # Shipped models are in another place on another node.
        self._model = model.name if catalogue.shipped(model.name) == model else model
        self._options = options
        self._rates = work.rates_of(jobs)
        self._precision = options["precision"]
        self._loading = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_loading"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _loading=threading.Lock())

    def running(self, executor: Executor) -> Running:
        """What a worker runs the model as; all will use its precision. Errors as `Work.load`."""

        def lost(_precision: str, error: InputError) -> Running:
            raise DeviceError(f"{self._model}: {error}")

        (found,) = in_order(executor, self._load, [self._precision], 1, lost)
        self._precision = found.precision
        self._work.running = found
        return found

    def outcomes(self, executor: Executor, items: Sequence[PlanItem]) -> Iterator[Outcome]:
        """As `Work.outcomes`; of what no worker survives, a failure."""
        given = ((self._precision, item) for item in items)

        def lost(entry: tuple[str, PlanItem], error: InputError) -> Outcome:
            item = entry[1]
            if not isinstance(item, Job):
                return item
            return failure(item.label, item.found.path, InputError(f"{item.label}: {error}"))

        yield from in_order(executor, self._do, given, max(len(items), 1), lost)

    def _load(self, precision: str) -> Running:
        with self._loading:
            if self._work.running is None or self._work.running.precision != precision:
                options = self._options | {"precision": precision}
                self._work.load(catalogue.resolve(self._model), options, self._rates)
        assert self._work.running is not None
        return self._work.running

    def _do(self, given: tuple[str, PlanItem]) -> Outcome:
        precision, item = given
        if not isinstance(item, Job):
            return item
        if not self._work.skips(item):
            self._load(precision)
        return self._work.do(item)


def sweep_after(jobs: Iterable[Job]) -> None:
    """Remove the unfinished files of workers that were ended, as soon as they are gone."""
    until = time.monotonic() + GONE
    folders = {os.path.abspath(path.parent) for job in jobs for path in job.written}
    while any([*Path(folder).glob(TEMPORARY)] for folder in folders):
        sweep.cache_clear()
        for folder in folders:
            sweep(folder)
        if time.monotonic() > until:
            break
        time.sleep(0.1)
