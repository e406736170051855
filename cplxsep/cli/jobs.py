"""Runs a model over many files: what separating and enhancing have in common."""

import math
import os
import sys
import traceback
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cplxsep.cli import common
from cplxsep.errors import CplxsepError, InputError, UsageError

if TYPE_CHECKING:
    from cplxsep.engine.batch import Outcome, Settings
    from cplxsep.engine.inputs import Found, Job, Naming
    from cplxsep.engine.separator import Separator

    Item = Job | Outcome


def plan(inputs: Iterable[str], naming: "Naming", stack: ExitStack) -> list["Item"]:
    """Jobs for what the user named, and failed outcomes for what cannot be one, in order.

    The stack keeps what came on standard input for as long as it is open.
    """
    from cplxsep.engine.batch import failure
    from cplxsep.engine.inputs import unique

    items: list[Item] = []
    for named in dict.fromkeys(inputs):
        try:
            files = _files(named, naming.out, stack)
        except InputError as error:
            _trace()
            items.append(failure("<stdin>" if named == "-" else named, None, error))
            continue
        for found in files:
            items += _jobs(found, naming)
    return unique(items)


def _files(named: str, out: Path, stack: ExitStack) -> list["Found"]:
    from cplxsep.engine.files import spooled
    from cplxsep.engine.inputs import Found, expand

    if named != "-":
        return expand(named, out)
    path = stack.enter_context(spooled(sys.stdin.buffer))
    return [Found(path, "<stdin>", "stdin", "stdin")]


def _jobs(found: "Found", naming: "Naming") -> Sequence["Item"]:
    from cplxsep.audio.io import probe
    from cplxsep.engine.batch import failure

    try:
        return naming.jobs(found, probe(found.path))
    except InputError as error:
        _trace()
        return [failure(found.label, found.path, error)]


@dataclass
class Run:
    """One command's work: which model, how, what to do with outputs that are there."""

    model: Path
    options: dict[str, Any]  # of the Separator
    settings: "Settings"
    exist: str
    dry_run: bool
    json_output: bool
    report: Path | None
    outcomes: list["Outcome"] = field(default_factory=list)
    _separator: "Separator | None" = None
    _narrowed: set[int] = field(default_factory=set)

    @property
    def failed(self) -> int:
        """Number of inputs that failed."""
        return sum(outcome.status == "failed" for outcome in self.outcomes)

    def work(self, items: Sequence["Item"]) -> None:
        """Do all jobs; print what was written, failures, and at the end the report.

        Raises:
            UsageError: two files would have one name; nothing has been done.
            ModelError, DeviceError: nothing more can be done; the report is written nevertheless.
        """
        from cplxsep.engine.batch import Outcome
        from cplxsep.engine.inputs import Job, check_clashes

        jobs = [item for item in items if isinstance(item, Job)]
        broken = [Path(item.input) for item in items if isinstance(item, Outcome)]
        check_clashes(jobs, broken, self.report)
        if self.report and self.report.is_dir():
            raise UsageError(f"--report {self.report} is a folder: give the name of a file")
        reason = "interrupted"
        try:
            # A model or device of no use is to be known before the first file.
            if not self.dry_run and not all(map(self._skips, jobs)):
                self._load()
            for item in items:
                self._record(self._do(item) if isinstance(item, Job) else item)
        except CplxsepError as error:
            reason = str(error)
            raise
        finally:
            for item in items[len(self.outcomes) :]:
                if isinstance(item, Job):
                    why = f"{item.label}: not tried: {reason}"
                    item = Outcome(item.label, "failed", error=why)
                self.outcomes.append(item)
            self._conclude()

    def _load(self) -> None:
        from cplxsep.engine.separator import Separator

        self._separator = Separator.load(self.model, **self.options)
        used = f"on {self._separator.device} in {self._separator.precision}"
        common.note(f"model {self.model.name} {used}", at=1)

    def _skips(self, job: "Job") -> bool:
        return self.exist == "skip" and all(map(os.path.exists, job.written))

    def _do(self, job: "Job") -> "Outcome":
        from rich.markup import escape

        from cplxsep.engine.batch import Outcome, failure, separate_file

        written = [str(path) for path in job.written]
        if self._skips(job):
            return Outcome(job.label, "skipped", written)
        try:
            if self.exist == "error" and (there := [*filter(os.path.exists, written)]):
                raise InputError(f"{job.label}: {there[0]} exists already")
            if self._separator is None:
                return Outcome(job.label, "planned", written)
            self._tell_band(job.info.sample_rate, self._separator.sample_rate)
            return separate_file(
                self._separator,
                job,
                self.settings,
                lambda blocks, total: common.track(blocks, escape(job.label), total=total),
            )
        except InputError as error:
            _trace()
            return failure(job.label, job.found.path, error)
        except CplxsepError as error:
            self.outcomes.append(failure(job.label, job.found.path, error))
            raise

    def _tell_band(self, file_rate: int, model_rate: int) -> None:
        """Say once for each rate that the model does not hear a file's whole band."""
        if file_rate > model_rate and file_rate not in self._narrowed:
            self._narrowed.add(file_rate)
            common.note(
                f"note: files at {file_rate} Hz are separated up to {model_rate // 2} Hz, "
                "all that this model hears"
            )

    def _record(self, outcome: "Outcome") -> None:
        self.outcomes.append(outcome)
        if outcome.error is not None:
            common.fail(InputError(outcome.error))
        elif outcome.status == "skipped":
            common.note(f"{outcome.input}: outputs exist, skipped")
        elif not self.json_output:
            for path in outcome.outputs:
                common.stdout(path)
        if outcome.seconds is not None:
            length, took = f"{outcome.seconds:.1f} s of audio", f"{outcome.elapsed:.1f} s"
            common.note(f"{outcome.input}: {length} separated in {took}", at=1)
        if outcome.gain < 1:
            decibels = 20 * math.log10(outcome.gain)
            common.note(f"{outcome.input}: all sources scaled by {decibels:.1f} dB not to clip")

    def _conclude(self) -> None:
        from cplxsep.audio.atomic import write_text
        from cplxsep.engine.files import make_folder
        from cplxsep.report import to_json

        counts = {
            status: sum(outcome.status == status for outcome in self.outcomes)
            for status in ("done", "skipped", "planned", "failed")
        }
        separator = self._separator
        text = to_json(
            {
                "command": "separate",
                "version": version("cplxsep"),
                "model": str(self.model),
                "device": separator.device if separator else None,
                "precision": separator.precision if separator else None,
                **counts,
                "files": [outcome.as_dict() for outcome in self.outcomes],
            }
        )
        if self.json_output:
            common.stdout(text)
        if self.report:
            make_folder(self.report.parent)
            write_text(self.report, f"{text}\n")


def _trace() -> None:
    if common.verbosity.level >= 2:
        traceback.print_exc()
