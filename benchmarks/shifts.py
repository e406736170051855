"""What several runs of a chunk with other frames, `--shifts`, bring to the shipped models.

    python benchmarks/shifts.py --speech ../shared/data/speech.csv \
        --noise ../shared/data/noise.csv [--split test] [--count 60] [--shifts 2] \
        [--precision auto] [--only MODEL...] [--write]

dce-2spk on mixtures of two who talk throughout at 8 kHz; dce-talk on conversations of 60 s at 16
kHz, dry, in noise and in rooms, in one order over the whole; dce-denoise on the pairs of
benchmarks/enhancement.py, at 5 dB. Means of paired differences to one run, with their 95 %
intervals, and their medians; N runs take N times as long. `--write` stores them in
benchmarks/results/shifts.md.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import conversations
import numpy as np
from card import cell, markdown
from commands import prepare_mixtures
from machine import in_words, machine
from noisy_mixtures import RATE, draw_pairs
from noisy_mixtures import score as score_enhanced

from cplxsep import Separator
from cplxsep.audio.atomic import write_text
from cplxsep.data.folders import MixtureFolder
from cplxsep.metrics.assignment import closest
from cplxsep.metrics.sisdr import si_sdr_matrix
from cplxsep.metrics.statistics import describe

REPORT = Path("benchmarks/results/shifts")
SNR = 5.0


class Work(NamedTuple):
    """A mixture (S,) and its sources (N, S)."""

    mixture: np.ndarray
    sources: np.ndarray
    rate: int


def dry(options: argparse.Namespace, folder: Path) -> Iterator[Work]:
    """Mixtures of two who talk throughout."""
    given = options.speech, folder, options.count, options.seed, 8000, options.split
    yield from loaded(MixtureFolder(prepare_mixtures(*given)))


def talk(options: argparse.Namespace, folder: Path, kind: str) -> Iterator[Work]:
    """Conversations of a kind; a third as many, for they are long."""
    given = vars(options) | {"count": max(options.count // 3, 1)}
    more = conversations.conditions(options.noise)[kind]
    yield from loaded(conversations.prepare(argparse.Namespace(**given), folder, more))


def noisy(options: argparse.Namespace, _: Path) -> Iterator[Work]:
    """Noisy speech."""
    for pair in draw_pairs(
        options.speech, options.noise, options.split, options.count, options.seed
    ):
        mixture, speech = pair.at(SNR)
        yield Work(mixture, speech[None], RATE)


def loaded(data: MixtureFolder) -> Iterator[Work]:
    """All of a folder."""
    for name in data.names:
        yield Work(*data.load(name))


WORKS = {
    ("dce-2spk", "who talk throughout"): dry,
    **{
        ("dce-talk", f"conversations, {kind}"): partial(talk, kind=kind)
        for kind in ("dry", "noise", "rooms")
    },
    ("dce-denoise", f"noise, {SNR:g} dB"): noisy,
}


def score(work: Work, found: np.ndarray) -> dict[str, float | None]:
    """SI-SDR of the sources found, in one order; of speech PESQ as well."""
    if len(found) == 1:
        own = score_enhanced((work.sources[0], [found[0]]))[0]
        return {"si_sdr": own["si_sdr"], "pesq": own["pesq"]}
    ordered = found[closest(work.sources, found)]
    return {"si_sdr": float(np.diag(si_sdr_matrix(work.sources, ordered)).mean())}


def measure(model: str, works: list[Work], options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for one run and for each number of them."""
    scores = {}
    for shifts in (1, *options.shifts):
        separator = Separator.load(model, shifts=shifts, precision=options.precision)
        scores[shifts] = [score(work, separator(work.mixture, work.rate)) for work in works]
    rows = []
    for shifts, own in scores.items():
        row: dict[str, Any] = {"shifts": shifts}
        for key in own[0]:
            pairs = zip(own, scores[1], strict=True)
            more = [a[key] - b[key] for a, b in pairs if None not in (a[key], b[key])]
            row[key] = describe([each[key] for each in own if each[key] is not None])
            row[f"{key}_more"] = describe(more) | {"median": float(np.median(more))}
        rows.append(row)
    return rows


def table(found: dict[str, Any]) -> str:
    """As markdown."""
    rows = []
    for name, own in found["models"].items():
        for row in own:
            for key, metric in (("si_sdr", "SI-SDR dB"), ("pesq", "PESQ-wb")):
                if key in row:
                    more = row[f"{key}_more"]
                    told = [cell(more), f"{more['median']:.2f}"] if row["shifts"] > 1 else ["", ""]
                    mean = f"{row[key]['mean']:.2f}"
                    rows.append([name, str(row["shifts"]), metric, mean, *told])
    columns = ["model", "shifts", "", "mean", "more than once", "median"]
    return markdown(columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--noise", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--split", choices=conversations.FOLDERS, default="test")
    parser.add_argument("--count", type=int, default=60, help="mixtures; a third of conversations")
    parser.add_argument("--shifts", type=int, nargs="+", default=[2])
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--only", nargs="+", default=[], help="models")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine(), "split": options.split, "models": {}}
    for (model, kind), made in WORKS.items():
        if options.only and model not in options.only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            works = list(made(options, Path(folder)))
        found["models"][f"{model}, {kind}"] = measure(model, works, options)
        print(table(found), flush=True)
    if options.write:
        text = f"Made by `benchmarks/shifts.py`, {in_words(found['machine'])}, on {options.count} "
        text += f"mixtures of the {options.split}\nsplit, a third as many conversations of a kind; "
        text += "means of paired differences with 95 % intervals."
        write_text(REPORT.with_suffix(".json"), json.dumps(found, indent=2) + "\n")
        write_text(REPORT.with_suffix(".md"), f"# Several shifts\n\n{text}\n\n{table(found)}\n")


if __name__ == "__main__":
    main()
