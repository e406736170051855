"""What the page shows of a result, the same for one system and for two that are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cplxsep.report.scores import label

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One file: its conditions and the means of its sources, by the view's columns."""

    name: str
    groups: Mapping[str, str]
    scores: Mapping[str, float | None]


@dataclass(frozen=True)
class View:
    """`titles` by column of `rows`; `plotted` columns get a histogram; `rank` tells the worst.

    `summary` and `by` hold statistics by key, `prefix` stands before the keys' names there.
    """

    title: str
    systems: list[str]
    result: Result
    summary: Mapping[str, Mapping[str, Any]]
    by: Mapping[str, Mapping[str, Mapping[str, Any]]]
    prefix: str
    titles: dict[str, str]
    plotted: list[str]
    rank: str
    rank_key: str
    rows: list[Row]
    sides: list[Result]
    """The evaluation of each system."""


def view(result: Result) -> View:
    """The view of what `cplxsep eval --json` prints."""
    return _comparison(result) if "comparison" in result else _evaluation(result)


def _evaluation(result: Result) -> View:
    keys = list(result["summary"])
    rows = [
        Row(entry["name"], entry["groups"], {key: _mean(entry, key) for key in keys})
        for entry in result["per_example"]
    ]
    rank = result["worst"]["by"]
    return View(
        title="Separation scores",
        systems=[result["inputs"].get("model") or result["inputs"].get("est", "")],
        result=result,
        summary=result["summary"],
        by=result["by"],
        prefix="",
        titles={key: label(key) for key in keys},
        plotted=keys,
        rank=rank,
        rank_key=rank,
        rows=rows,
        sides=[result],
    )


def _comparison(result: Result) -> View:
    compared = result["comparison"]
    titles = {
        f"{key} {part}": f"{label(key)} {sign}"
        for key in compared["difference"]
        # Broken before the signs, if at all.
        for part, sign in (("a", "A"), ("b", "B"), ("difference", "B\xa0−\xa0A"))  # noqa: RUF001
    }
    rows = [
        Row(
            entry["name"],
            entry["groups"],
            {title: entry[title.split()[1]][title.split()[0]] for title in titles},
        )
        for entry in compared["per_example"]
    ]
    rank = compared["worst"]["by"]
    return View(
        title="Two systems compared",
        systems=[result["a"]["system"], result["b"]["system"]],
        result=compared,
        summary=compared["difference"],
        by=compared["by"],
        prefix="B − A ",  # noqa: RUF001
        titles=titles,
        plotted=[title for title in titles if title.endswith(" difference")],
        rank=f"{rank} difference",
        rank_key=rank,
        rows=rows,
        sides=[result["a"], result["b"]],
    )


def _mean(entry: Result, key: str) -> float | None:
    values = [source[key] for source in entry["sources"] if source[key] is not None]
    return sum(values) / len(values) if values else None


def chosen(view: View, count: int) -> dict[str, str]:
    """Up to `count` names of files to hear, and why: a third each worst, median and best."""
    ranked = sorted(
        (row for row in view.rows if row.scores[view.rank] is not None),
        key=lambda row: (row.scores[view.rank], row.name),
    )
    others = [row for row in view.rows if row.scores[view.rank] is None]
    if len(view.rows) <= count:
        return {row.name: "" for row in [*ranked, *others]}
    third, more = divmod(count, 3)
    low, best = third + (more > 0), third + (more > 1)
    found = dict.fromkeys(_names(ranked[:low]), "among the worst")
    best_rows = ranked[low:][-best:] if best else []
    inner = ranked[low : len(ranked) - len(best_rows)]
    start = max(0, (len(inner) - third) // 2)
    found |= dict.fromkeys(_names(inner[start : start + third]), "about the median")
    return found | dict.fromkeys(_names(best_rows), "among the best")


def _names(rows: Sequence[Row]) -> list[str]:
    return [row.name for row in rows]
