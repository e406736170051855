"""Score many examples and sum up: the object that `cplxsep eval --json` prints."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cplxsep.errors import InputError, UsageError
from cplxsep.metrics import score, summary

Case = tuple[np.ndarray | None, np.ndarray, np.ndarray, int]
Watch = Callable[[Sequence[str]], Iterable[str]]

DEFAULT_GROUP = "condition"
UNGROUPED = "(none)"


class Cases(Protocol):
    """What is scored: `load` gives mixture (S,) or None, references and estimates (N, S), rate."""

    names: list[str]
    has_mixture: bool

    def load(self, name: str) -> Case:
        """Raises InputError for an example that cannot be scored."""

    def metadata(self, name: str) -> Mapping[str, str]:
        """Columns of the example's metadata; empty without."""


def evaluate(
    cases: Cases,
    names: Sequence[str],
    metrics: Sequence[str] = score.DEFAULT_METRICS,
    *,
    ci: float = 95.0,
    group_by: str | None = None,
    fail_under: Mapping[str, float] | None = None,
    watch: Watch = iter,
    tell: Callable[[InputError], None] = lambda _error: None,
) -> dict[str, Any]:
    """Scores of each example, their summary with `ci` percent intervals, and what went wrong.

    An example that cannot be loaded is told to `tell` and listed under `failed`. `group_by` is a
    column of the metadata, by default `condition` where there is one. `fail_under` gives the least
    means, by key such as `si_sdr_i`. UsageError: no such column, or a key that is not computed.
    """
    keys = score.keys(metrics, cases.has_mixture)
    for key in fail_under or {}:
        if key not in keys:
            raise UsageError(f"--fail-under {key}: not computed here, only {', '.join(keys)}")
    column = _group_column(cases, names, group_by)
    examples: list[summary.Example] = []
    failed: list[dict[str, str]] = []
    for name in watch(names):
        try:
            mixture, references, estimates, rate = cases.load(name)
        except InputError as error:
            tell(error)
            failed.append({"name": name, "reason": str(error)})
            continue
        sources = score.score_example(mixture, references, estimates, metrics, rate)
        group = cases.metadata(name).get(column) or UNGROUPED if column else None
        examples.append(summary.Example(name, sources, group))
    totals = summary.summarise(examples, keys, ci)
    return {
        "metrics": list(metrics),
        "permutation": f"best mean {score.criterion(metrics)}",
        "group_by": column,
        "ci": ci,
        "examples": len(examples),
        "failed": failed,
        "missed": _missed({key: totals["all"][key]["mean"] for key in keys}, fail_under or {}),
        "null": summary.reasons(examples),
        "summary": totals,
        "per_example": [_entry(example) for example in examples],
    }


def _group_column(cases: Cases, names: Sequence[str], asked: str | None) -> str | None:
    """Column to group by, or None. UsageError if the asked one is in no row of the metadata."""
    columns = dict.fromkeys(column for name in names for column in cases.metadata(name))
    if asked is None:
        return DEFAULT_GROUP if DEFAULT_GROUP in columns else None
    if asked not in columns:
        there = f"its columns are {', '.join(columns)}" if columns else "there is none"
        raise UsageError(f"--group-by {asked}: no such column in metadata.csv; {there}")
    return asked


def _missed(
    means: Mapping[str, float | None], fail_under: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Thresholds that the means do not reach; a mean that does not exist reaches none."""
    found = ((key, means[key], least) for key, least in fail_under.items())
    return [
        {"metric": key, "mean": mean, "least": least}
        for key, mean, least in found
        if mean is None or mean < least
    ]


def _entry(example: summary.Example) -> dict[str, Any]:
    """An example's scores by source."""
    sources = [
        {
            "source": f"s{source.reference + 1}",
            "estimate": f"s{source.estimate + 1}",
            **source.values,
            "null": source.null,
        }
        for source in example.sources
    ]
    return {"name": example.name, "group": example.group, "sources": sources}


def rows(result: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns, and one row for each example and source; one with its reason for each failed one."""
    keys = list(result["summary"]["all"])
    table: list[dict[str, Any]] = []
    for example in result["per_example"]:
        for source in example["sources"]:
            why = "; ".join(f"{key}: {reason}" for key, reason in source["null"].items())
            own = {"name": example["name"], "group": example["group"], "reason": why}
            table.append(own | {key: source[key] for key in ("source", "estimate", *keys)})
    table += result["failed"]
    return ["name", "group", "source", "estimate", *keys, "reason"], table
