"""Score many examples and sum up: the object that `cplxsep eval --json` prints."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cplxsep.errors import InputError, UsageError
from cplxsep.metrics import conditions, processes, score, sexes, statistics
from cplxsep.metrics.cases import Cases
from cplxsep.metrics.conditions import Column
from cplxsep.metrics.names import DEFAULT_METRICS
from cplxsep.parallel import Workers

Item = TypeVar("Item")
Watch = Callable[[Iterator[Item], int], Iterable[Item]]

DEFAULT_COLUMNS = ("condition", sexes.COLUMN)


@dataclass(frozen=True)
class Scores:
    """All examples' scores; `groups` are the labels of the conditions, by column, in order."""

    metrics: list[str]
    keys: list[str]
    examples: list[statistics.Example]
    failed: list[dict[str, str]]
    groups: dict[str, list[str]]

    @property
    def rank(self) -> str:
        """The score that says which files are worst: the first metric, better as improvement."""
        better = score.key(self.metrics[0], improvement=True)
        return better if better in self.keys else self.keys[0]


def run(
    cases: Cases,
    names: Sequence[str],
    metrics: Sequence[str] = DEFAULT_METRICS,
    *,
    by: Sequence[str] | None = None,
    workers: Workers = 1,
    watch: Watch = lambda results, _total: results,
    tell: Callable[[InputError], None] = lambda _error: None,
) -> Scores:
    """Score each example. One that cannot be loaded is told to `tell` and listed under `failed`.

    `by` are columns of the metadata, COLUMN or COLUMN:WIDTH for numbers in bins; by default
    `condition` and `sexes` where they are there. UsageError: no such column.
    """
    groups = _groups(cases, names, by)
    found: list[statistics.Example] = []
    failed: list[dict[str, str]] = []
    results = processes.score_all(cases, names, metrics, workers)
    for name, result in watch(results, len(names)):
        if isinstance(result, InputError):
            tell(result)
            failed.append({"name": name, "reason": str(result)})
            continue
        own = {column: labels[name] for column, labels in groups.items()}
        found.append(statistics.Example(name, result[0], own, result[1], result[2]))
    ordered = {column: conditions.order([*own.values()]) for column, own in groups.items()}
    keys = score.keys(metrics, cases.has_mixture)
    return Scores(list(metrics), keys, found, failed, ordered)


def _groups(
    cases: Cases, names: Sequence[str], asked: Sequence[str] | None
) -> dict[str, dict[str, str]]:
    """Labels of all names by column. UsageError if an asked column is in no row."""
    # What a row has beyond its columns is under None.
    columns = dict.fromkeys(
        column for name in names for column in cases.metadata(name) if column is not None
    )
    if asked is None:
        asked = [column for column in DEFAULT_COLUMNS if column in columns]
    groups = {}
    for text in asked:
        column = Column.parse(text, columns)
        if column.name not in columns:
            there = f"its columns are {', '.join(columns)}" if columns else "there is none"
            raise UsageError(f"--by {text}: no such column in the metadata; {there}")
        values = [cases.metadata(name).get(column.name) for name in names]
        labels = conditions.labels(values, column.step)
        groups[column.name] = dict(zip(names, labels, strict=True))
    return groups


def check_thresholds(wanted: Mapping[str, float], keys: Sequence[str]) -> None:
    """UsageError for a threshold on a score that is not computed."""
    for key in wanted:
        if key not in keys:
            text = f"{key}: not computed here, only {', '.join(keys)}"
            raise UsageError(f"--fail-under {text.replace('_', '-')}")


def missed(
    totals: Mapping[str, Mapping[str, Any]], thresholds: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Thresholds that the means do not reach; a mean that does not exist reaches none."""
    means = {key: totals[key]["mean"] for key in thresholds}
    return [
        {"metric": key, "mean": means[key], "least": least}
        for key, least in thresholds.items()
        if means[key] is None or means[key] < least
    ]


def summed_up(
    scores: Scores, ci: float = 95.0, fail_under: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Statistics with `ci` percent intervals, the worst files, and every example's scores.

    `fail_under` gives the least means, by key such as `si_sdr_i`. UsageError: not computed.
    """
    check_thresholds(fail_under or {}, scores.keys)

    def of_all(examples: Sequence[statistics.Example]) -> dict[str, Any]:
        return {key: statistics.of_score(examples, key, ci) for key in scores.keys}

    totals = of_all(scores.examples)
    return {
        "metrics": scores.metrics,
        "permutation": f"best mean {score.criterion(scores.metrics)}",
        "ci": ci,
        "examples": len(scores.examples),
        "seconds": sum(example.seconds for example in scores.examples),
        "failed": scores.failed,
        "missed": missed(totals, fail_under or {}),
        "null": statistics.reasons(scores.examples),
        "summary": totals,
        "by": statistics.by_group(scores.examples, scores.groups, of_all),
        "worst": {"by": scores.rank, "examples": statistics.worst(scores.examples, scores.rank)},
        "per_example": [_entry(example) for example in scores.examples],
    }


def _entry(example: statistics.Example) -> dict[str, Any]:
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
    about = {"sample_rate": example.sample_rate, "seconds": example.seconds}
    return {"name": example.name, "groups": dict(example.groups), **about, "sources": sources}


def rows(result: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns, and one row for each example and source; one with its reason for each failed one."""
    keys = list(result["summary"])
    ours = ["name", "source", "estimate", *keys, "reason"]
    # A column of the metadata does not take the place of a score.
    titles = {group: f"{group} (metadata)" if group in ours else group for group in result["by"]}
    table: list[dict[str, Any]] = []
    for example in result["per_example"]:
        groups = {titles[column]: label for column, label in example["groups"].items()}
        for source in example["sources"]:
            why = "; ".join(f"{key}: {reason}" for key, reason in source["null"].items())
            scores = {key: source[key] for key in ("source", "estimate", *keys)}
            table.append({"name": example["name"], **groups, **scores, "reason": why})
    table += result["failed"]
    return ["name", *titles.values(), *ours[1:]], table
