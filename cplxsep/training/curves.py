"""A run's curves as one picture, drawn anew from its log at each validation."""

import json
from pathlib import Path
from typing import Any

from cplxsep.audio.atomic import replacing
from cplxsep.errors import InputError


def draw(log: Path, picture: Path) -> None:
    """Write a PNG: training loss, and SI-SDR improvement on validation, over hours of audio.

    Raises:
        InputError: a file cannot be read or written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = read(log)
    figure = Figure(figsize=(8, 5))  # fixed margins: laid out to fit, it takes twice as long
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.1, top=0.94, hspace=0.2)
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True)
    for axis, key, title in (
        (above, "loss", "training loss"),
        (below, "valid_si_sdr_i", "SI-SDR improvement on validation, dB"),
    ):
        points = [
            (line["audio_seconds"] / 3600, line[key]) for line in steps if line.get(key) is not None
        ]
        style = "o-" if len(points) < 60 else "-"
        axis.plot([x for x, _ in points], [y for _, y in points], style, markersize=3, linewidth=1)
        axis.set_title(title, loc="left", fontsize=9)
        axis.grid(alpha=0.3)
    below.set_xlabel("hours of audio")
    with replacing(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def read(log: Path) -> list[dict[str, Any]]:
    """Lines of a log in order of their steps, one of each kind a step: a resumed run repeats some.

    Kinds are training, validation, and validation of an average.

    Raises:
        InputError: the file cannot be read.
    """
    found: dict[tuple[int, bool, bool], dict[str, Any]] = {}
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {log}: {error.strerror}") from None
    for text in lines:
        try:
            line = json.loads(text)
            found[line["step"], "loss" in line, "valid_si_sdr_i" in line] = line
        except (ValueError, KeyError, TypeError):
            continue  # cut off when the power or the disk went
    return [found[key] for key in sorted(found)]
