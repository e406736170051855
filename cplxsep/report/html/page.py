"""The page of `cplxsep eval --html`: one file to look at and to listen to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from cplxsep.audio.atomic import write_text
from cplxsep.errors import InputError
from cplxsep.metrics.cases import Cases
from cplxsep.report.html import listen, sections
from cplxsep.report.html.markup import Markup, number, tag
from cplxsep.report.html.view import View, chosen, view
from cplxsep.report.scores import label

Watch = Callable[[Sequence[str]], Iterable[str]]

# Nothing may be loaded from anywhere: the page must work from a mail or a USB stick.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; media-src data:"
)


def write_page(
    path: Path,
    result: Mapping[str, Any],
    systems: Sequence[Cases],
    examples: int,
    watch: Watch = iter,
) -> None:
    """Write the result of `cplxsep eval` as one HTML file, whole or not at all.

    `systems` give the signals of up to `examples` files: a third each of the worst, those about
    the median, and the best. InputError: the file cannot be written.
    """
    shown = view(result)
    names = chosen(shown, examples)
    heard: dict[str, Markup | str] = {}
    for name in watch([*names]):
        try:
            heard[name] = listen.players(name, systems, shown.sides)
        except InputError as error:  # it was there when it was scored
            heard[name] = str(error)
    write_text(path, render(shown, names, heard))


def render(shown: View, names: Mapping[str, str], heard: Mapping[str, Markup | str]) -> str:
    """The page's text; `names` say why a file can be heard, `heard` are its players."""
    anchors = {name: f"example-{number}" for number, name in enumerate(names, 1)}
    parts = [sections.section("Summary", sections.headline(shown), sections.summary(shown))]
    if shown.rows:
        parts.append(sections.section("Distributions", sections.distributions(shown)))
    if shown.by:
        parts.append(sections.section("Conditions", sections.conditions(shown)))
    parts.append(
        sections.section(
            "Files",
            sections.files(shown, anchors),
            note="Choose a column's title to sort by it. Linked files can be heard below.",
        )
    )
    if names:
        note = f"{len(names)} of {len(shown.rows)} files; estimates have their reference's level."
        examples = [
            _example(shown, name, anchors[name], why, heard[name]) for name, why in names.items()
        ]
        parts.append(sections.section("Listen", *examples, note=note))
    if (failures := sections.failures(shown)) is not None:
        parts.append(sections.section("Not scored", failures))
    page = tag("html", _head(shown), tag("body", *_body(shown, parts)), lang="en")
    return f"<!doctype html>\n{page}\n"


def _head(shown: View) -> Markup:
    style = Markup(resources.files(__package__).joinpath("page.css").read_text("utf-8"))
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{shown.title}: {' and '.join(shown.systems)}"),
        tag("style", style),
    )


def _body(shown: View, parts: Sequence[Markup]) -> list[Markup]:
    script = Markup(resources.files(__package__).joinpath("page.js").read_text("utf-8"))
    titles = [part.split("<h2>", 1)[1].split("</h2>", 1)[0] for part in parts]
    menu = [tag("a", Markup(title), href=f"#{sections.anchor(title)}") for title in titles]
    header = tag(
        "header",
        tag("h1", shown.title),
        *_systems(shown),
        tag("nav", *menu, aria_label="Sections"),
    )
    footer = tag("footer", "cplxsep eval. Scores are means over a file's talkers.")
    return [header, tag("main", *parts), footer, tag("script", script)]


def _systems(shown: View) -> list[Markup]:
    files = len(shown.rows)
    facts = [f"{files} file{'s' * (files != 1)} scored"]
    if len(shown.systems) > 1:
        lines = [
            tag("p", tag("b", f"{name} "), system, class_="system")
            for name, system in zip("AB", shown.systems, strict=True)
        ]
    else:
        lines = [tag("p", shown.systems[0], class_="system")]
        facts.append(f"{number(shown.result['seconds'] / 60, 1)} min")
    if failed := sum(len(side["failed"]) for side in shown.sides):
        facts.append(f"{failed} not scored")
    return [*lines, tag("p", " · ".join(facts), class_="note")]


def _example(shown: View, name: str, anchor: str, why: str, players: Markup | str) -> Markup:
    row = next(row for row in shown.rows if row.name == name)
    value = row.scores[shown.rank]
    facts = [f"{shown.prefix}{label(shown.rank_key)} {number(value)}", why, *row.groups.values()]
    return tag(
        "article",
        tag("h3", name),
        tag("p", " · ".join(fact for fact in facts if fact), class_="note"),
        players if isinstance(players, Markup) else tag("p", players),
        id=anchor,
        tabindex="-1",
    )
