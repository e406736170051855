"""What a prepared folder amounts to: summary.json, and a histogram of the SNRs beside it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cplxsep.audio.atomic import replacing, write_text
from cplxsep.data.table import Row

SUMMARY = "summary.json"
HISTOGRAM = "snr.png"


def write(folder: Path, rows: Sequence[Row]) -> None:
    """Write both files. InputError where that fails."""
    ratios = snrs(rows)
    write_text(folder / SUMMARY, json.dumps(_amounts(rows, ratios), indent=1) + "\n")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.hist(ratios, bins=min(40, max(5, len(ratios) // 10)))
    axis.set(xlabel="SNR in dB", ylabel="mixtures", title=f"{len(rows)} mixtures")
    with replacing(folder / HISTOGRAM) as temporary:
        figure.savefig(temporary, format="png")


def snrs(rows: Sequence[Row]) -> list[float]:
    """Of each row the SNR in dB, or how much louder talker 1 is than each of the others."""
    columns = [name for name in rows[0] if re.fullmatch(r"snr_db|source_(?!1_)\d+_snr_db", name)]
    return [float(row[name]) for row in rows for name in columns]


def _amounts(rows: Sequence[Row], ratios: list[float]) -> dict[str, Any]:
    columns = [name for name in rows[0] if re.fullmatch(r"source_\d+_speaker", name)]
    corpora = [name.replace("speaker", "corpus") for name in columns]
    speakers = {
        (row.get(corpus), row[name])
        for row in rows
        for name, corpus in zip(columns, corpora, strict=True)
    }
    return {
        "mixtures": len(rows),
        "hours": round(sum(float(row["seconds"]) for row in rows) / 3600, 4),
        "speakers": len(speakers),
        "conditions": dict(sorted(Counter(row["condition"] for row in rows).items())),
        "snr_db": {
            "mean": round(float(np.mean(ratios)), 3),
            "least": round(min(ratios), 3),
            "greatest": round(max(ratios), 3),
        },
    }
