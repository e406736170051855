"""What the options of `cplxsep eval` mean, checked before any work."""

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from cplxsep.audio import atomic
from cplxsep.cli.evaluate.cases import is_list
from cplxsep.errors import InputError, UsageError

ENGINE = ("--device", "--precision", "--chunk", "--overlap", "--batch", "--shifts")
"""Options of how a model runs."""


def check_form(given: Mapping[str, object]) -> None:
    """UsageError unless the options say what is scored, and on what, each in one way.

    That is a model, estimates, or two of these, on prepared mixtures or references.
    """
    there = {name for name, value in given.items() if value is not None}
    clashes = [("--compare", "--model"), ("--compare", "--est"), ("--model", "--est")]
    clashes += [("--cluster", "--cut"), ("--cluster", "--workers")]
    clashes += [("--data", "--ref"), ("--ref", "--split"), *(("--est", name) for name in ENGINE)]
    for one, other in clashes:
        if {one, other} <= there:
            raise UsageError(f"{one} does not go with {other}: see cplxsep eval --help")
    if not (there & {"--compare", "--model", "--est"} and there & {"--data", "--ref"}):
        raise UsageError(
            "give --model and --data, or --ref and --est, or --compare A B with --data or --ref"
        )


def read_metrics(text: str) -> list[str]:
    """Names of the metrics asked for. UsageError: unknown, or its package is not installed."""
    from cplxsep.metrics import perceptual
    from cplxsep.metrics.names import METRICS

    wanted = list(dict.fromkeys(part.strip().lower().replace("_", "-") for part in text.split(",")))
    for metric in wanted:
        if metric not in METRICS:
            raise UsageError(f"--metrics: {metric!r} is not a metric; known: {', '.join(METRICS)}")
    perceptual.require(wanted)
    return wanted


def read_threshold(text: str) -> tuple[str, float]:
    """Key and least mean from text such as `si-sdr-i=5`. UsageError."""
    name, _, number = text.partition("=")
    try:
        least = float(number)
    except ValueError:
        least = math.nan
    if not math.isfinite(least):
        raise UsageError(f"--fail-under {text}: write METRIC=NUMBER, such as sdr=8")
    return name.strip().lower().replace("-", "_"), least


def check_target(
    option: str, path: Path | None, data: Path | None, folders: Iterable[Path | None]
) -> None:
    """Fail before the work, not after it. InputError; UsageError if it is or may be an input."""
    if path is None:
        return
    if os.path.isdir(path):
        raise InputError(f"{option} {path} is a folder: give the name of a file")
    if _is_data(path, data) or any(_inside(path, folder) for folder in folders if folder):
        raise UsageError(f"{option} {path} lies among the inputs: choose another place")
    atomic.check_target(path, text=True)


def _inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _is_data(path: Path, data: Path | None) -> bool:
    """Whether a path is a list of mixtures in use, or what a prepared folder consists of."""
    from cplxsep.data.layout import METADATA, PREPARATION, SUFFIXES

    if data is None:
        return False
    if is_list(data):
        if os.path.realpath(path) == os.path.realpath(data):
            return True
        data = data.parent
    part = path.suffix.lower() in SUFFIXES or path.name in (METADATA, PREPARATION)
    return part and _inside(path, data)
