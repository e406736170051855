"""The players of one example: mixture, references and estimates, with their spectrograms."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cplxsep.metrics.cases import Cases
from cplxsep.report.html import media
from cplxsep.report.html.markup import Markup, join, number, tag
from cplxsep.report.scores import decibels, short

Result = Mapping[str, Any]


def players(name: str, systems: Sequence[Cases], sides: Sequence[Result]) -> Markup:
    """The players of an example, one row a talker, each system's estimate beside the reference.

    The mixture and the references have one gain; an estimate has the level of its reference, for
    the scores do not count levels either.
    """
    loaded = [system.load(name) for system in systems]
    mixture, references, _, rate = loaded[0]
    together = [mixture, *references] if mixture is not None else [*references]
    gain = 0.9 / max(max(float(np.nanmax(np.abs(part))) for part in together), 1e-9)
    parts = []
    if mixture is not None:
        parts.append(tag("div", _player("mixture", name, mixture, rate, gain), class_="row"))
    for j, reference in enumerate(references):
        row = [_player(f"reference s{j + 1}", name, reference, rate, gain)]
        for index, (case, side) in enumerate(zip(loaded, sides, strict=True)):
            source = _source(side, name, j)
            estimate = case[2][int(source["estimate"][1:]) - 1]
            title = f"estimate s{j + 1}" + (f" of {'AB'[index]}" if len(sides) > 1 else "")
            fitted = gain * media.level(reference) / max(media.level(estimate), 1e-9)
            limited = min(fitted, 0.99 / max(float(np.nanmax(np.abs(estimate))), 1e-9))
            row.append(_player(title, name, estimate, rate, limited, _scores(source)))
        parts.append(tag("div", *row, class_="row"))
    return join(parts)


def _source(side: Result, name: str, j: int) -> Result:
    entry = next(entry for entry in side["per_example"] if entry["name"] == name)
    source: Result = entry["sources"][j]
    return source


def _scores(source: Result) -> Markup:
    """The scores of a source, or the reason why one is missing."""
    shown = [
        f"{short(key)} {number(value)}{' dB' * decibels(key)}"
        for key, value in source.items()
        if key not in ("source", "estimate", "null") and value is not None
    ]
    missing = [f"{short(key)}: {reason}" for key, reason in source["null"].items()]
    return tag("p", *(tag("span", line) for line in [*shown, *missing]), class_="scores")


def _player(
    title: str, name: str, samples: np.ndarray, rate: int, gain: float, scores: Markup | None = None
) -> Markup:
    seconds = min(len(samples) / rate, media.SECONDS)
    shown = f" 0 to {rate / 2000:g} kHz"
    shown += f", first {media.SECONDS:g} s" if len(samples) / rate > media.SECONDS else ""
    about = f"Spectrogram of {title}, 0 to {rate / 2000:g} kHz over {seconds:.1f} s"
    size = {"width": media.COLUMNS, "height": media.ROWS}
    image = tag("img", src=media.spectrogram(samples, rate), alt=about, **size)
    source = media.sound(samples, rate, gain)
    return tag(
        "figure",
        tag("figcaption", tag("b", title), tag("span", shown)),
        tag("div", image, tag("i", class_="cursor"), class_="picture"),
        tag(
            "audio", controls=True, preload="metadata", src=source, aria_label=f"{title} of {name}"
        ),
        scores,
    )
