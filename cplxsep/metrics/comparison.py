"""Two systems on the same examples: paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cplxsep.metrics import evaluation, score, statistics
from cplxsep.metrics.evaluation import Scores
from cplxsep.metrics.score import SourceScore

PARTS = ("a", "b", "difference")


def compare(
    a: Scores, b: Scores, ci: float = 95.0, fail_under: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """How much better B is than A: statistics of B - A over the files that both have scored.

    Each file's difference is the mean over the sources that have the score in both. Improvements
    over the mixture are left out: their differences are those of the scores. `better` and `worse`
    count the files in which B is. `fail_under` gives the least mean differences, by key.
    UsageError: a key that is not computed.
    """
    keys = [score.key(metric) for metric in a.metrics]
    evaluation.check_thresholds(fail_under or {}, keys)
    others = {example.name: example for example in b.examples}
    pairs = [_paired(own, others[own.name], keys) for own in a.examples if own.name in others]
    first, second = ({example.name for example in side.examples} for side in (a, b))

    def of_all(members: Sequence[Pair]) -> dict[str, Any]:
        return {key: _of_pairs(members, key, ci) for key in keys}

    totals = of_all(pairs)
    return {
        "ci": ci,
        "examples": len(pairs),
        "only_a": sorted(first - second),
        "only_b": sorted(second - first),
        "missed": evaluation.missed(totals, fail_under or {}),
        "difference": totals,
        "by": statistics.by_group(pairs, a.groups, of_all),
        "worst": {"by": keys[0], "examples": statistics.worst(pairs, keys[0])},
        "per_example": [
            {
                "name": pair.name,
                "groups": dict(pair.groups),
                "a": {key: pair.a.mean(key) for key in keys},
                "b": {key: pair.b.mean(key) for key in keys},
                "difference": {key: pair.mean(key) for key in keys},
            }
            for pair in pairs
        ],
    }


@dataclass(frozen=True, kw_only=True)
class Pair(statistics.Example):
    """One file's scores of B - A, of A, and of B, where both have them."""

    a: statistics.Example
    b: statistics.Example


def _paired(a: statistics.Example, b: statistics.Example, keys: Sequence[str]) -> Pair:
    """Scores of which both have a value for the source; None where either has none."""
    sides: tuple[list[SourceScore], ...] = ([], [], [])
    for own, other in zip(a.sources, b.sources, strict=True):
        both = [key for key in keys if None not in (own.values[key], other.values[key])]
        kept = [{key: source.values[key] for key in both} for source in (own, other)]
        less: dict[str, float | None] = {
            key: (kept[1][key] or 0.0) - (kept[0][key] or 0.0) for key in both
        }
        for side, values in zip(sides, (*kept, less), strict=True):
            side.append(SourceScore(own.reference, own.estimate, values))
    first, second, difference = (replace(a, sources=side) for side in sides)
    return Pair(**vars(difference), a=first, b=second)


def _of_pairs(pairs: Sequence[Pair], key: str, ci: float) -> dict[str, Any]:
    values = [v for pair in pairs if (v := pair.mean(key)) is not None]
    own, other = (
        [v for e in side if (v := e.mean(key)) is not None]
        for side in ([p.a for p in pairs], [p.b for p in pairs])
    )
    return {
        "mean_a": float(np.mean(own)) if own else None,
        "mean_b": float(np.mean(other)) if other else None,
        **statistics.of_score(pairs, key, ci),
        "better": sum(value > 0 for value in values),
        "worse": sum(value < 0 for value in values),
    }


def rows(result: Mapping[str, Any]) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns and rows of the table: each score of A, of B, and B - A, for each file.

    `result` has the `comparison` and both sides; a file that only one has scored, or none, comes
    with the reason.
    """
    compared = result["comparison"]
    scores = [f"{key}_{part}" for key in compared["difference"] for part in PARTS]
    # A column of the metadata does not take the place of a score.
    ours = ["name", *scores, "reason"]
    titles = {group: f"{group} (metadata)" if group in ours else group for group in compared["by"]}
    table = []
    for example in compared["per_example"]:
        row = {"name": example["name"]}
        row |= {titles[column]: label for column, label in example["groups"].items()}
        for part in PARTS:
            row |= {f"{key}_{part}": value for key, value in example[part].items()}
        table.append(row)
    reasons: dict[str, list[str]] = {}
    for side in "ab":
        for entry in result[side]["failed"]:
            reasons.setdefault(entry["name"], []).append(f"{side}: {entry['reason']}")
    table += [{"name": name, "reason": "; ".join(texts)} for name, texts in reasons.items()]
    return ["name", *titles.values(), *scores, "reason"], table
