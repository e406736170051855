"""Mean, median and confidence interval over files, for all of them and by group."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cplxsep.metrics.score import SourceScore

RESAMPLES = 2000


@dataclass(frozen=True)
class Example:
    """Scores of one file's sources, and the group it belongs to, if any."""

    name: str
    sources: list[SourceScore]
    group: str | None = None

    def mean(self, key: str) -> float | None:
        """Mean of a score over the sources that have it; None if no source has."""
        values = [v for s in self.sources if (v := s.values.get(key)) is not None]
        return float(np.mean(values)) if values else None

    def nulls(self, key: str) -> int:
        """Number of sources without this score."""
        return sum(source.values.get(key) is None for source in self.sources)


def interval(
    values: Sequence[float], percent: float = 95.0, resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """Bootstrap confidence interval of the mean, by percentiles; None for fewer than two values.

    The seed is fixed: the same values give the same interval.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.size < 2:
        return None
    rng = np.random.default_rng(0)
    means = [data[rng.integers(data.size, size=data.size)].mean() for _ in range(resamples)]
    tail = (100.0 - percent) / 2
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return float(low), float(high)


def statistics(examples: Sequence[Example], key: str, percent: float = 95.0) -> dict[str, Any]:
    """Mean, median and interval of one score over n files, each file the mean of its sources.

    `null` counts the sources that have no such score.
    """
    values = [v for example in examples if (v := example.mean(key)) is not None]
    bounds = interval(values, percent)
    return {
        "mean": float(np.mean(values)) if values else None,
        "median": float(np.median(values)) if values else None,
        "ci": list(bounds) if bounds else None,
        "n": len(values),
        "null": sum(example.nulls(key) for example in examples),
    }


def summarise(
    examples: Sequence[Example], keys: Sequence[str], percent: float = 95.0
) -> dict[str, dict[str, Any]]:
    """Statistics by score, under `all` and under the name of each group."""
    groups: dict[str, Sequence[Example]] = {"all": examples}
    for name in sorted({example.group for example in examples if example.group is not None}):
        # A group may not take the place of the whole.
        label = name if name != "all" else "all (group)"
        groups[label] = [example for example in examples if example.group == name]
    return {
        name: {key: statistics(members, key, percent) for key in keys}
        for name, members in groups.items()
    }


def reasons(examples: Sequence[Example]) -> dict[str, dict[str, int]]:
    """How many sources lack each score, by reason: {key: {reason: sources}}."""
    counts: dict[str, dict[str, int]] = {}
    for example in examples:
        for source in example.sources:
            for key, reason in source.null.items():
                by_reason = counts.setdefault(key, {})
                by_reason[reason] = by_reason.get(reason, 0) + 1
    return counts
