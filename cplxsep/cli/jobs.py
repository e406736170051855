"""Runs a model over many files: what separating and enhancing have in common."""

import math
import os
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cplxsep.cli import common
from cplxsep.cli.rate_notes import rate_notes
from cplxsep.errors import CplxsepError, InputError, UsageError

if TYPE_CHECKING:
    from cplxsep.engine.batch import Outcome, Settings
    from cplxsep.engine.inputs import Found, Job, Naming
    from cplxsep.engine.separator import Separator

    Item = Job | Outcome


MOST_FILES = 32  # at once, on a GPU
MUCH = 12.0  # dB that enhancing takes from a recording of which noise is nearly all


@contextmanager
def told_in_json(command: str, wanted: bool) -> Iterator[None]:
    """What keeps a command from starting is also an object on stdout, if the user wants JSON."""
    from cplxsep.report import to_json

    try:
        yield
    except CplxsepError as error:
        if wanted:
            text = {"command": command, "version": version("cplxsep"), "error": str(error)}
            common.stdout(to_json(text))
        raise


def plan(inputs: Iterable[str], naming: "Naming", stack: ExitStack) -> list["Item"]:
    """Jobs for what the user named, and failed outcomes for what cannot be one, in order.

    The stack keeps what came on standard input for as long as it is open.
    """
    from cplxsep.engine.batch import failure
    from cplxsep.engine.inputs import unique

    items: list[Item] = []
    for named in dict.fromkeys(inputs):
        try:
            files = _files(named, naming, stack)
        except InputError as error:
            _trace()
            items.append(failure("<stdin>" if named == "-" else named, None, error))
            continue
        for found in files:
            items += _jobs(found, naming)
    return unique(items)


def _files(named: str, naming: "Naming", stack: ExitStack) -> list["Found"]:
    from cplxsep.audio.pipe import NotStreamableError, WavStream
    from cplxsep.engine.files import spooled
    from cplxsep.engine.inputs import Found, expand

    if named != "-":
        return expand(named, naming.out)
    if sys.stdin is None:
        raise InputError("<stdin> is closed: pipe an audio file into it")
    # Where the other end made it so, a read would give nothing as if all had come.
    with suppress(OSError, ValueError, AttributeError):
        os.set_blocking(sys.stdin.fileno(), True)
    # Not the buffer: its lock would keep Python from ending while a thread waits for a slow pipe.
    source = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
    try:
        stream = WavStream(source, "<stdin>")
        if not naming.reads_again:
            return [Found(Path("<stdin>"), "<stdin>", "stdin", "stdin", stream=stream)]
        head = stream.head
    except NotStreamableError as error:
        head = error.head
    path = stack.enter_context(spooled(source, head))
    return [Found(path, "<stdin>", "stdin", "stdin")]


def _jobs(found: "Found", naming: "Naming") -> Sequence["Item"]:
    from cplxsep.audio.io import probe
    from cplxsep.engine.batch import failure

    try:
        return naming.jobs(found, found.stream.info if found.stream else probe(found.path))
    except InputError as error:
        _trace()
        return [failure(found.label, found.path, error)]


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
    outcomes: list["Outcome"] = field(default_factory=list)
    unread: bool = False  # standard output was closed before all was printed
    _separator: "Separator | None" = None
    _chunks: int = 1  # computed at once
    _chunks_at_once: int = 1  # of one file

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
        from cplxsep.audio.atomic import check_target
        from cplxsep.engine.batch import Outcome
        from cplxsep.engine.inputs import Job, check_clashes, without_results

        if self.exist == "skip":
            before, items = len(items), without_results(items)
            if left_out := before - len(items):
                common.note(f"{left_out} files are results of an earlier run, no inputs")
        jobs = [item for item in items if isinstance(item, Job)]
        broken = [Path(item.input) for item in items if isinstance(item, Outcome)]
        with told_in_json(self.command, self.json_output):
            check_clashes(jobs, broken, self.report)
            if self.report and os.path.isdir(self.report):
                raise UsageError(f"--report {self.report} is a folder: give the name of a file")
            if self.report:
                check_target(self.report)
        stopped: str | None = "interrupted"
        try:
            # A model or device of no use is to be known before the first file.
            if not self.dry_run and not all(map(self._skips, jobs)):
                self._load(jobs)
            with common.bars() as bar:
                for outcome in self._outcomes(items, bar):
                    self._record(outcome)
            stopped = None
        except Exception as error:
            stopped = str(error)
            raise
        finally:
            for item in items[len(self.outcomes) :]:
                if isinstance(item, Job):
                    why = f"{item.label}: not tried: {stopped}"
                    item = Outcome(item.label, "failed", error=why)
                self.outcomes.append(item)
            self._conclude(stopped)

    def _load(self, jobs: Iterable["Job"]) -> None:
        from cplxsep.engine.compile_ahead import compile_ahead

        compile_ahead(self.model, self.options["device"])
        from cplxsep.engine.separator import Separator

        self._separator = Separator.load(self.model, **self.options)
        rates = {job.info.sample_rate: None for job in jobs if not self._skips(job)}
        # All that they need is made before the first file, one rate after the other.
        made = [self._separator.at(rate) for rate in rates]
        self._chunks = max((at_rate.batch for at_rate in made), default=1)
        used = f"on {self._separator.device} in {self._separator.precision}"
        forms = "".join(f", {form}" for form in dict.fromkeys(at_rate.form for at_rate in made))
        common.note(f"model {self.model.name} {used}{forms}", at=1)
        for told in rate_notes(rates, self._separator, self.settings, self._done):
            common.note(f"note: {told}")

    @property
    def _done(self) -> str:
        return "separated" if self.settings.enhancement is None else "enhanced"

    def _outcomes(self, items: Sequence["Item"], bar: common.Bar) -> Iterator["Outcome"]:
        """What becomes of each item, in order; on a GPU several files are under way at once."""
        from cplxsep.engine.batch import failure
        from cplxsep.engine.inputs import Job

        batch = self._chunks
        files = 1 if batch == 1 else min(2 * batch, MOST_FILES, max(len(items), 1))
        self._chunks_at_once = -(-2 * batch // files) if files > 1 else batch
        cancelled = threading.Event()
        pool = ThreadPoolExecutor(files)
        try:
            futures = [pool.submit(self._do, item, bar, cancelled) for item in items]
            for item, future in zip(items, futures, strict=True):
                try:
                    yield future.result()
                except CplxsepError as error:
                    if isinstance(item, Job):
                        self.outcomes.append(failure(item.label, item.found.path, error))
                    raise
        finally:
            cancelled.set()
            pool.shutdown(cancel_futures=True)

    def _skips(self, job: "Job") -> bool:
        return self.exist == "skip" and job.is_there

    def _do(self, item: "Item", bar: common.Bar, cancelled: threading.Event) -> "Outcome":
        from rich.markup import escape

        from cplxsep.engine.batch import Outcome, failure, separate_file

        if isinstance(item, Outcome):
            return item
        written = [str(path) for path in item.written]
        if self._skips(item):
            return Outcome(item.label, "skipped", written)
        try:
            if self.exist == "error" and (there := [*filter(os.path.exists, written)]):
                raise InputError(f"{item.label}: {there[0]} exists already")
            if self._separator is None:
                return Outcome(item.label, "planned", written)
            runs = self._separator.at(item.info.sample_rate)
            return separate_file(
                self._separator,
                item,
                self.settings,
                lambda blocks, total: bar(blocks, escape(item.label), total),
                block=runs.seconds(self._chunks_at_once),
                cancelled=cancelled,
            )
        except InputError as error:
            _trace()
            return failure(item.label, item.found.path, error)

    def _record(self, outcome: "Outcome") -> None:
        self.outcomes.append(outcome)
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

    def _conclude(self, stopped: str | None) -> None:
        from cplxsep.audio.atomic import write_text
        from cplxsep.report import to_json

        counts = {
            status: sum(outcome.status == status for outcome in self.outcomes)
            for status in ("done", "skipped", "planned", "failed")
        }
        separator = self._separator
        text = to_json(
            {
                "command": self.command,
                "version": version("cplxsep"),
                "model": str(self.model),
                "device": separator.device if separator else None,
                "precision": separator.precision if separator else None,
                "error": stopped,
                **counts,
                "files": [outcome.as_dict() for outcome in self.outcomes],
            }
        )
        if self.json_output:
            self._print(text)
        if self.report:
            write_text(self.report, f"{text}\n")


def _trace() -> None:
    if common.verbosity.level >= 2:
        traceback.print_exc()
