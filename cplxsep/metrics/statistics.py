"""Mean, median and confidence interval over files, for all of them and by condition."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from cplxsep.metrics.score import SourceScore

RESAMPLES = 2000
WORST = 10


@dataclass(frozen=True)
class Example:
    """Scores of one file's sources, and the condition it belongs to by column of the metadata."""

    name: str
    sources: list[SourceScore]
    groups: Mapping[str, str] = field(default_factory=dict)
    sample_rate: int = 0
    seconds: float = 0.0

    def mean(self, key: str) -> float | None:
        """Mean of a score over the sources that have it; None if no source has."""
        values = [v for s in self.sources if (v := s.values.get(key)) is not None]
        return float(np.mean(values)) if values else None

    def nulls(self, key: str) -> int:
        """Number of sources without this score."""
        return sum(source.values.get(key) is None for source in self.sources)


Member = TypeVar("Member", bound=Example)


def interval(values: Sequence[float], percent: float = 95.0) -> tuple[float, float] | None:
    """Bootstrap confidence interval of the mean, by percentiles; None for fewer than two values.

    The seed is fixed: the same values give the same interval.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size < 2:
        return None
    rng = np.random.default_rng(0)
    means = [data[rng.integers(data.size, size=data.size)].mean() for _ in range(RESAMPLES)]
    tail = (100.0 - percent) / 2
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return float(low), float(high)


def describe(values: Sequence[float], percent: float = 95.0) -> dict[str, Any]:
    """Mean, median, interval and number of values; None where there are too few."""
    bounds = interval(values, percent)
    return {
        "mean": float(np.mean(values)) if len(values) else None,
        "median": float(np.median(values)) if len(values) else None,
        "ci": list(bounds) if bounds else None,
        "n": len(values),
    }


def of_score(examples: Sequence[Example], key: str, percent: float = 95.0) -> dict[str, Any]:
    """Mean, median and interval of one score over n files, each file the mean of its sources.

    `null` counts the sources that have no such score.
    """
    values = [v for example in examples if (v := example.mean(key)) is not None]
    nulls = sum(example.nulls(key) for example in examples)
    return describe(values, percent) | {"null": nulls}


def by_group(
    examples: Sequence[Member],
    groups: Mapping[str, Sequence[str]],
    sum_up: Callable[[Sequence[Member]], dict[str, Any]],
) -> dict[str, dict[str, dict[str, Any]]]:
    """`sum_up` of the examples of each group, by column and label in the order of `groups`."""
    return {
        column: {
            label: sum_up(members)
            for label in labels
            if (members := [item for item in examples if item.groups.get(column) == label])
        }
        for column, labels in groups.items()
    }


def worst(examples: Sequence[Example], key: str, count: int = WORST) -> list[dict[str, Any]]:
    """The files with the lowest scores, lowest first; those without the score are not among them.

    A score that is the same for two files puts them in the order of their names.
    """
    scored = [(value, item) for item in examples if (value := item.mean(key)) is not None]
    scored.sort(key=lambda pair: (pair[0], pair[1].name))
    return [
        {"name": item.name, "groups": dict(item.groups), key: value}
        for value, item in scored[:count]
    ]


def reasons(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """How many sources lack each score, by reason: {key: {reason: sources}}."""
    counts: dict[str, dict[str, int]] = {}
    for example in examples:
        for source in example.sources:
            for key, reason in source.null.items():
                by_reason = counts.setdefault(key, {})
                by_reason[reason] = by_reason.get(reason, 0) + 1
    return counts
