"""From what the user names to a list of jobs, before any work: clashes stop a command at once."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cplxsep.audio.folder import Unread
from cplxsep.engine.find import Found, expand
from cplxsep.engine.job import Job
from cplxsep.engine.naming import Naming
from cplxsep.engine.outcome import Outcome, failure
from cplxsep.errors import InputError, UsageError

PlanItem = Job | Outcome
"""What is to be done, or why an input cannot be."""


def plan(
    inputs: Iterable[str], naming: Naming, standard_input: Callable[[], Found]
) -> list[PlanItem]:
    """Jobs for what the user named, and failed outcomes for what cannot be one, in order.

    `standard_input` is asked for what "-" means.
    """
    items: list[PlanItem] = []
    for named in dict.fromkeys(inputs):
        files: Sequence[Found | Unread]
        try:
            files = [standard_input()] if named == "-" else expand(named, naming.out)
        except InputError as error:
            items.append(failure("<stdin>" if named == "-" else named, None, error))
            continue
        for found in files:
            if isinstance(found, Unread):
                items.append(failure(str(found.path), found.path, found.error))
                continue
            try:
                items += naming.jobs(found)
            except InputError as error:
                items.append(failure(found.label, found.path, error))
    return _unique(items)


def _unique(items: Iterable[PlanItem]) -> list[PlanItem]:
    """The items without repeated jobs: a file that was named twice is done once."""
    seen: dict[object, PlanItem] = {}
    for item in items:
        key: object = id(item)
        if isinstance(item, Job):
            key = (_real(item.found.path), item.channel, item.outputs)
        seen.setdefault(key, item)
    return list(seen.values())


def without_results(items: Sequence[PlanItem]) -> list[PlanItem]:
    """The items without jobs on what an earlier run wrote for another job that it ended.

    So a folder that grows can be worked on in place.
    """
    results: set[object] = set()
    for item in items:
        if isinstance(item, Job) and item.is_there:
            own = {_identity(path) for path in item.outputs}
            results |= own if _identity(item.found.path) not in own else set()
    return [
        item
        for item in items
        if not (isinstance(item, Job) and _identity(item.found.path) in results)
    ]


def check_clashes(jobs: Sequence[Job], named: Iterable[Path], report: Path | None = None) -> None:
    """Raise UsageError if a file would be written twice or an input would be replaced.

    `named` are further inputs, such as those that cannot be read.
    """
    inputs = {_identity(path) for path in (*(job.found.path for job in jobs), *named)}
    writers: dict[str, Job] = {}
    told = _real(report) if report else None
    if report and _identity(report) in inputs:
        raise UsageError(f"--report {report} would replace an input")
    for job in jobs:
        for path in job.written:
            if _identity(path) in inputs:
                skip = ", or --exist skip if an earlier run wrote it" if job.is_there else ""
                raise UsageError(f"{path} would replace an input: choose another --out{skip}")
            if told and _real(path).startswith(told + os.sep):
                raise UsageError(f"--report {report}: {path} needs a folder there: name another")
            if told and _real(path) == told:
                raise UsageError(
                    f"--report and {job.label} would both write {path}: name another file"
                )
            if (other := writers.get(_real(path))) is not None:
                raise UsageError(
                    f"{other.label} and {job.label} would both write {path}: "
                    f"{_how_apart(other.found, job.found)}"
                )
            writers[_real(path)] = job


def check_apart(items: Iterable[PlanItem]) -> None:
    """Raise UsageError if outputs lie in a folder of inputs.

    Whoever looks there later finds another list, and another shard of it.
    """
    jobs = [item for item in items if isinstance(item, Job)]
    inputs = {_real(job.found.path.parent) for job in jobs}
    for job in jobs:
        for path in job.written:
            if _real(path.parent) in inputs:
                raise UsageError(
                    f"--shard: {path} would lie among the inputs, of which every shard must find "
                    "the same: choose another --out"
                )


def _how_apart(first: Found, second: Found) -> str:
    """How two inputs can have outputs of different names."""
    field = ""
    if first.path.suffix != second.path.suffix:
        field = "{input_ext}"
    elif first.parent != second.parent:
        field = "{parent}"
    put = f"put {field} into --name, or " if field else ""
    return f"{put}run them apart, each with its own --out"


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int] | str:
    """What tells a file from others, whatever its names, as on case-blind file systems."""
    try:
        status = path.stat()
    except OSError:
        return _real(path)
    return (status.st_dev, status.st_ino)
