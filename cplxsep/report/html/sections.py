"""The parts of the page."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cplxsep.report.html import plots
from cplxsep.report.html.markup import Markup, join, number, tag
from cplxsep.report.html.view import Row, View
from cplxsep.report.scores import label, short

PLOTTED = 40
"""Conditions in one plot; a column with more of them, such as talkers, is a table alone."""


def section(title: str, *content: object, note: str = "") -> Markup:
    """A part of the page with its heading, which its menu links to."""
    words = tag("p", note, class_="note") if note else None
    return tag("section", tag("h2", title), words, *content, id=anchor(title))


def anchor(title: str) -> str:
    """The address of a section in the page."""
    return title.lower().replace(" ", "-")


def headline(view: View) -> Markup:
    """Cards with the means that matter most: improvements where there are any."""
    keys = [key for key in view.summary if key.endswith("_i")] or list(view.summary)
    keys = _first(view.rank_key, keys)[:4]
    cards = []
    for key in keys:
        value = view.summary[key]
        bounds = value["ci"]
        between = f"{number(bounds[0])} to {number(bounds[1])}" if bounds else "no interval"
        cards.append(
            tag(
                "div",
                tag("span", view.prefix + label(key), class_="what"),
                tag("strong", number(value["mean"])),
                tag("span", between, class_="between"),
                class_="card",
            )
        )
    return tag("div", *cards, class_="cards")


def summary(view: View) -> Markup:
    """Statistics of every score."""
    ci = f"{view.result['ci']:g}% interval"
    compared = len(view.sides) > 1
    columns = ["score", *(["A", "B", "B − A"] if compared else ["mean"]), ci, "median"]  # noqa: RUF001
    columns += ["files", *(["better", "worse"] if compared else []), "null"]
    rows = []
    for key, value in view.summary.items():
        means = ["mean_a", "mean_b", "mean"] if compared else ["mean"]
        cells: list[object] = [label(key), *(number(value[name]) for name in means)]
        cells += [_between(value["ci"]), number(value["median"]), value["n"]]
        cells += [value["better"], value["worse"]] if compared else []
        rows.append([*cells, value["null"]])
    nulls = _nulls(view)
    return join([table("Summary", columns, rows), nulls])


def distributions(view: View) -> Markup:
    """A histogram for each score, and a scatter of improvements or of the two systems."""
    drawn = []
    for column in view.plotted:
        values = [v for row in view.rows if (v := row.scores[column]) is not None]
        if values:
            mean = sum(values) / len(values)
            drawn.append(plots.histogram(values, mean, view.titles[column]))
    drawn += _scatter(view)
    return tag("div", *(tag("figure", plot) for plot in drawn), class_="plots")


def _scatter(view: View) -> list[Markup]:
    """B against A, one dot a file; or what each talker gained against how loud it was mixed."""
    if len(view.sides) > 1:
        x, y = f"{view.rank_key} a", f"{view.rank_key} b"
        points = [
            (a, b, row.name)
            for row in view.rows
            if (a := row.scores[x]) is not None and (b := row.scores[y]) is not None
        ]
        titles = view.titles[x], view.titles[y]
        return [plots.scatter(points, *titles, diagonal=True)] if points else []
    if not view.rank.endswith("_i"):
        return []
    plain = view.rank.removesuffix("_i")
    points = [
        (source[plain] - gained, gained, f"{entry['name']} {source['source']}")
        for entry in view.result["per_example"]
        for source in entry["sources"]
        if (gained := source[view.rank]) is not None
    ]
    title = f"{label(plain)} of each talker in the mixture"
    return [plots.scatter(points, title, view.titles[view.rank])] if points else []


def conditions(view: View) -> Markup:
    """Means by condition, as a table and with intervals, for each column of the metadata."""
    parts: list[Markup] = []
    for column, groups in view.by.items():
        keys = _first(view.rank_key, view.summary)
        rows = [
            [name, value[view.rank_key]["n"], *(number(value[key]["mean"]) for key in keys)]
            for name, value in groups.items()
        ]
        titles = [column, "files", *(view.prefix + label(key) for key in keys)]
        lines = [
            (name, stats["mean"], stats["ci"])
            for name, value in groups.items()
            if (stats := value[view.rank_key])["mean"] is not None
        ]
        title = view.prefix + label(view.rank_key)
        plot = tag("figure", plots.intervals(lines, title)) if 0 < len(lines) <= PLOTTED else None
        parts += [tag("h3", column), table(f"Means by {column}", titles, rows)]
        parts.append(tag("div", plot, class_="plots"))
    return join(parts)


def files(view: View, heard: Mapping[str, str]) -> Markup:
    """Every file and its scores, sortable by each; those that can be heard are links.

    The score that ranks them is beside the name, where a phone shows it, too.
    """
    first, *others = _first(view.rank, view.titles)
    head = [_sorter("file"), _sorter(view.titles[first], "n", True)]
    head += [_sorter(title) for title in view.by]
    head += [_sorter(view.titles[column], "n") for column in others]
    body = []
    for row in sorted(view.rows, key=_worst_first(view)):
        name = tag("a", row.name, href=f"#{heard[row.name]}") if row.name in heard else row.name
        cells = [tag("th", name, scope="row"), _score(row.scores[first])]
        cells += [tag("td", row.groups.get(column, "")) for column in view.by]
        cells += [_score(row.scores[column]) for column in others]
        body.append(tag("tr", *cells))
    grid = tag(
        "table",
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
        class_="sortable names",
        id="all-files",
    )
    sorted_by = f"Sorted by {view.titles[view.rank]}, lowest first."
    return join([tag("p", sorted_by, class_="status", role="status"), _scrolled("All files", grid)])


def _first(key: str, keys: Iterable[str]) -> list[str]:
    """The keys with one of them in front."""
    return [key, *(other for other in keys if other != key)]


def _score(value: float | None) -> Markup:
    exact = "" if value is None else f"{value:.6f}"
    return tag("td", number(value), class_="n", data_v=exact)


def _sorter(title: str, kind: str | None = None, chosen: bool = False) -> Markup:
    """The head of a column that sorts by it; `chosen` if the table is so sorted."""
    order = "ascending" if chosen else "none"
    # A score's name is not broken at its hyphen, its unit may stand below it.
    name, space, unit = title.partition(" ") if kind else ("", "", title)
    button = tag("button", tag("span", name) if name else None, space + unit, type="button")
    return tag("th", button, scope="col", aria_sort=order, class_=kind)


def _worst_first(view: View) -> Callable[[Row], tuple[bool, float, str]]:
    def rank(row: Row) -> tuple[bool, float, str]:
        value = row.scores[view.rank]
        return value is None, value or 0.0, row.name

    return rank


def table(name: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """A table of numbers; the first column heads its row."""
    kinds = [None, *["n"] * (len(columns) - 1)]
    head = tag(
        "tr",
        *(
            tag("th", column, scope="col", class_=kind)
            for column, kind in zip(columns, kinds, strict=True)
        ),
    )
    body = [
        tag(
            "tr", tag("th", row[0], scope="row"), *(tag("td", cell, class_="n") for cell in row[1:])
        )
        for row in rows
    ]
    return _scrolled(name, tag("table", tag("thead", head), tag("tbody", *body)))


def _scrolled(name: str, grid: Markup) -> Markup:
    # Wide tables scroll by themselves, by keyboard too, and the page stays where it is.
    return tag("div", grid, class_="scroll", tabindex="0", role="region", aria_label=name)


def failures(view: View) -> Markup | None:
    """Files without scores, and why."""
    rows = [
        [entry["name"], *(["AB"[index]] if len(view.sides) > 1 else []), entry["reason"]]
        for index, side in enumerate(view.sides)
        for entry in side["failed"]
    ]
    if not rows:
        return None
    columns = ["file", *(["system"] if len(view.sides) > 1 else []), "reason"]
    body = [tag("tr", tag("th", r[0], scope="row"), *(tag("td", c) for c in r[1:])) for r in rows]
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    grid = tag("table", tag("thead", head), tag("tbody", *body), class_="names")
    return _scrolled("Files without scores", grid)


def _nulls(view: View) -> Markup | None:
    """How many sources lack which score, and why."""
    items = [
        tag(
            "li",
            f"{count} × no {short(key)}{' of ' + 'AB'[n] if len(view.sides) > 1 else ''}: "  # noqa: RUF001
            f"{reason}",
        )
        for n, side in enumerate(view.sides)
        for key, reasons in side["null"].items()
        for reason, count in reasons.items()
    ]
    return tag("ul", *items, class_="nulls") if items else None


def _between(bounds: Sequence[Any] | None) -> str:
    return f"{number(bounds[0])} to {number(bounds[1])}" if bounds else "–"  # noqa: RUF001
