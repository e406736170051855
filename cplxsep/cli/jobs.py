"""Runs a model over many files: what separating and enhancing have in common."""

import math
import os
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cplxsep.cli import common
from cplxsep.cli.rate_notes import rate_notes
from cplxsep.cli.standard_input import standard_input
from cplxsep.errors import CplxsepError, InputError, UsageError
from cplxsep.parallel import Shard
from cplxsep.version import own_version

if TYPE_CHECKING:
    import numpy as np

    from cplxsep.engine.job import Job
    from cplxsep.engine.naming import Naming
    from cplxsep.engine.one_file import Settings
    from cplxsep.engine.outcome import Outcome
    from cplxsep.engine.plan import PlanItem
    from cplxsep.engine.work import Running, Work

MUCH = 12.0  # dB that enhancing takes from a recording of which noise is nearly all


@contextmanager
def reported_in_json(command: str, wanted: bool) -> Iterator[None]:
    """What keeps a command from starting is also an object on stdout, if the user wants JSON."""
    from cplxsep.report import to_json

    try:
        yield
    except CplxsepError as error:
        if wanted:
            text = {"command": command, "version": own_version(), "error": str(error)}
            common.stdout(to_json(text))
        raise


@dataclass
class Run:
    """One command's work: which model, how, what to do with outputs that are there."""

    command: str
    model: Path
    options: dict[str, Any]  # of the Separator
    settings: "Settings"
    exist: str
    dry_run: bool
    json_output: bool
    report: Path | None
    shard: Shard
    cluster: str | None = None  # its address
    outcomes: list["Outcome"] = field(default_factory=list)
    unread: bool = False  # standard output was closed before all was printed

    def work(self, inputs: Iterable[str], naming: "Naming") -> None:
        """Do what the user named; print what was written, failures, and at the end the report.

        Raises:
            typer.Exit: with 1, some input failed, or not all could be printed.
            UsageError: two files would have one name; nothing has been done.
            ModelError, DeviceError: nothing more can be done; the report is written nevertheless.
        """
        from cplxsep.engine.job import Job
        from cplxsep.engine.plan import plan
        from cplxsep.engine.work import Work

        with ExitStack() as stack:
            with reported_in_json(self.command, self.json_output):
                inputs = self._named(inputs)
                items = plan(inputs, naming, lambda: standard_input(naming, stack))
                items = self._own(self._checked(items))
                for item in items:
                    if not isinstance(item, Job):
                        _trace(item)
            jobs = [item for item in items if isinstance(item, Job)]
            work = Work(self.settings, self.exist)
            stopped: str | None = "interrupted"
            try:
                self._do(work, items, jobs)
                stopped = None
            except Exception as error:
                stopped = str(error)
                raise
            finally:
                self._conclude(work, items, stopped)
        if self.unread or any(outcome.status == "failed" for outcome in self.outcomes):
            raise typer.Exit(1)

    def _named(self, inputs: Iterable[str]) -> list[str]:
        """The inputs. UsageError: they are not the same for every shard or node."""
        named = list(inputs)
        for option, given in (("--shard", self.shard), ("--cluster", self.cluster)):
            if given and "-" in named:
                raise UsageError(f"{option} does not go with standard input: name files or folders")
        return named

    def _own(self, items: list["PlanItem"]) -> list["PlanItem"]:
        """Those of this shard. UsageError: outputs of the others may be among them."""
        from cplxsep.engine.plan import check_apart

        if not self.shard:
            return items
        check_apart(items)
        own = self.shard.take(items)
        common.note(f"shard {self.shard}: {len(own)} of {len(items)} inputs", at=1)
        return own

    def _checked(self, items: list["PlanItem"]) -> list["PlanItem"]:
        """The items without results of earlier runs. UsageError: files would have one name."""
        from cplxsep.audio.atomic import check_target
        from cplxsep.engine.job import Job
        from cplxsep.engine.plan import check_clashes, without_results

        if self.exist == "skip":
            before, items = len(items), without_results(items)
            if left_out := before - len(items):
                common.note(f"{left_out} files are results of an earlier run, no inputs")
        jobs = [item for item in items if isinstance(item, Job)]
        broken = [Path(item.input) for item in items if not isinstance(item, Job)]
        check_clashes(jobs, broken, self.report)
        if self.report and os.path.isdir(self.report):
            raise UsageError(f"--report {self.report} is a folder: give the name of a file")
        if self.report:
            check_target(self.report, text=True)
        return items

    def _do(self, work: "Work", items: Sequence["PlanItem"], jobs: Sequence["Job"]) -> None:
        """Do all items, and tell of each."""
        from rich.markup import escape

        # A model or device of no use is to be known before the first file.
        if not self.dry_run and not all(map(work.skips, jobs)):
            if self.cluster:
                self._do_on(self.cluster, work, items, jobs)
                return
            work.load(self.model, self.options, work.rates_of(jobs))
            assert work.running is not None
            self._tell_of(work.running)
        with common.bars() as bar:

            def watch(
                job: "Job", blocks: "Iterable[np.ndarray]", total: int | None
            ) -> "Iterable[np.ndarray]":
                return bar(blocks, escape(job.label), total)

            self._record_all(work.outcomes(items, watch), items)

    def _do_on(
        self, address: str, work: "Work", items: Sequence["PlanItem"], jobs: Sequence["Job"]
    ) -> None:
        """Do all items on a cluster, and tell of each."""
        from cplxsep.cli.cluster import workers_for_model
        from cplxsep.engine.on_cluster import FarWork, sweep_after
        from cplxsep.engine.work import MOST_FILES

        shared = next(job for job in jobs if not work.skips(job)).written[0]
        try:
            with workers_for_model(address, None, self.options["device"], shared, MOST_FILES) as (
                workers,
                device,
            ):
                far = FarWork(work, self.model, self.options | {"device": device}, jobs)
                self._tell_of(far.running(workers))
                outcomes = far.outcomes(workers, items)
                self._record_all(common.track(outcomes, "files", total=len(items)), items)
        finally:
            sweep_after(jobs)

    def _record_all(self, outcomes: "Iterable[Outcome]", items: Sequence["PlanItem"]) -> None:
        try:
            for outcome in outcomes:
                self._record(outcome)
        except CplxsepError as error:
            self._keep(items[len(self.outcomes)], error)
            raise

    def _tell_of(self, running: "Running") -> None:
        """What the model runs as, and what is special about the recordings' rates."""
        from cplxsep.nn.native.build import CANNOT_KEEP

        used = f"on {running.device} in {running.precision}"
        common.note(
            f"model {self.model.name} {used}{''.join(f', {form}' for form in running.forms)}", at=1
        )
        for form in running.forms:
            if CANNOT_KEEP in form and common.verbosity.level < 1:
                common.note(f"note: {form}; it takes several times as long")
        for told in rate_notes(running, self.settings, self._done):
            common.note(f"note: {told}")

    @property
    def _done(self) -> str:
        return "separated" if self.settings.enhancement is None else "enhanced"

    def _record(self, outcome: "Outcome") -> None:
        self.outcomes.append(outcome)
        _trace(outcome)
        if outcome.error is not None:
            common.fail(InputError(outcome.error))
        elif outcome.status == "skipped":
            common.note(f"{outcome.input}: outputs exist, skipped")
        elif not self.json_output:
            for path in outcome.outputs:
                self._print(path)
        if outcome.seconds is not None:
            length, took = f"{outcome.seconds:.1f} s of audio", f"{outcome.elapsed:.1f} s"
            common.note(f"{outcome.input}: {length} {self._done} in {took}", at=1)
        if outcome.gain < 1:
            decibels = 20 * math.log10(outcome.gain)
            common.note(f"{outcome.input}: outputs scaled by {decibels:.1f} dB not to clip")
        for path in outcome.silent:
            common.note(f"{outcome.input}: {path} was too soft to keep")
        if self.settings.enhancement and outcome.lost > MUCH:
            silent = math.isinf(outcome.lost)
            now = "silent now" if silent else f"{outcome.lost:.0f} dB softer than before"
            common.note(
                f"{outcome.input}: {now}: it held little speech, or most of that was taken away "
                "(--mix-back leaves more)"
            )
        if weak := outcome.weak_seams:
            common.note(
                f"{outcome.input}: talkers may have changed files at {len(weak)} of "
                f"{len(outcome.seams)} joints, first at {weak[0].seconds:.0f} s (--json tells all)"
            )

    def _print(self, text: str) -> None:
        """Print on stdout; that nobody reads there any more does not keep files from being done."""
        try:
            common.stdout(text)
        except InputError as error:
            self.unread = True
            common.fail(error)

    def _keep(self, item: "PlanItem", error: CplxsepError) -> None:
        """Remember the item that all ended with."""
        from cplxsep.engine.job import Job
        from cplxsep.engine.outcome import failure

        if isinstance(item, Job):
            self.outcomes.append(failure(item.label, item.found.path, error))

    def _conclude(self, work: "Work", items: Sequence["PlanItem"], stopped: str | None) -> None:
        from cplxsep.audio.atomic import write_text
        from cplxsep.engine.job import Job
        from cplxsep.engine.outcome import Outcome
        from cplxsep.report import to_json

        for item in items[len(self.outcomes) :]:
            if isinstance(item, Job):
                why = f"{item.label}: not tried: {stopped}"
                item = Outcome(item.label, "failed", error=why)
            self.outcomes.append(item)

        counts = {
            status: sum(outcome.status == status for outcome in self.outcomes)
            for status in ("done", "skipped", "planned", "failed")
        }
        running = work.running
        text = to_json(
            {
                "command": self.command,
                "version": own_version(),
                "model": str(self.model),
                "shard": str(self.shard) if self.shard else None,
                "device": running.device if running else None,
                "precision": running.precision if running else None,
                "error": stopped,
                **counts,
                "files": [outcome.as_dict() for outcome in self.outcomes],
            }
        )
        if self.json_output:
            self._print(text)
        if self.report:
            write_text(self.report, f"{text}\n")


def _trace(outcome: "Outcome") -> None:
    """The traceback of an input that failed, once, for those who ask for it."""
    if outcome.cause is not None and common.verbosity.level >= 2:
        traceback.print_exception(outcome.cause)
    outcome.cause = None  # it holds what its frames held, such as audio
