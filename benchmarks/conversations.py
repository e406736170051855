"""Separation of conversations of the test split, a third overlapped, at 16 kHz.

    python benchmarks/conversations.py --speech ../shared/data/speech.csv \
        --noise ../shared/data/noise.csv --model models/dce-talk [--split test] [--count 60] \
        [--seed 0] [--chunk 8] [--write]

Prepares conversations of 60 s of unseen talkers with the command a user has: dry; in noise, 5 to
30 dB; in simulated rooms, each talker at a place of its own and the reference as heard; and dry
ones in which one person talks alone. Scored over each whole conversation in one order of the
outputs:

- SI-SDR improvement over the mixture, and the SI-SDR lost against the best order for each 8 s;
- how far a talker who speaks alone is down in the other output (`cplxsep.metrics.isolation`);
- diarization error rate of what `separate --rttm` says, collar 0.25 s, by `pip install spy-der`.

`--write` stores the summary in the model's metrics.json and a table in its card.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from card import cell, parts, publish
from commands import cplxsep
from machine import in_words, machine

from cplxsep.audio.activity import Activity
from cplxsep.data.folders import MixtureFolder
from cplxsep.engine.separator import Separator
from cplxsep.metrics.assignment import closest
from cplxsep.metrics.isolation import isolation
from cplxsep.metrics.sisdr import si_sdr_matrix
from cplxsep.metrics.statistics import describe

RATE, SECONDS, CHUNK = 16000, 60, 8
FOLDERS = {"test": "tt", "valid": "cv"}
COLUMNS = {
    "si_sdr_i": "SI-SDRi dB",
    "order_loss": "lost by one order dB",
    "isolation": "lone talker down dB",
    "der": "diarization error %",
}
COLLAR = 0.25  # s


def conditions(noise: Path) -> dict[str, list[object]]:
    """Options of `prepare conversations` by condition."""
    return {
        "dry": [],
        "noise": ["--noise", noise, "--noise-snr", "5:30"],
        "rooms": ["--rooms", "simulated"],
        "one talker": ["--alone", 1],
    }


def prepare(options: argparse.Namespace, folder: Path, more: Sequence[object]) -> MixtureFolder:
    """Conversations of one condition."""
    cplxsep(
        *("-q", "prepare", "conversations", "--speech", options.speech, "-o", folder),
        *("--split", options.split, "--count", options.count, "--seed", options.seed),
        *("--seconds", SECONDS, "--rate", RATE, "--overlap", "0.33:0.33", *more),
    )
    return MixtureFolder(folder / FOLDERS[options.split])


def score(mixture: np.ndarray, sources: np.ndarray, estimates: np.ndarray) -> dict[str, float]:
    """Means over the talkers of a conversation: (S,), (2, S) and (2, S)."""
    ordered = estimates[closest(sources, estimates)]
    talks = sources.any(axis=1)
    found = {}
    if talks.all():
        after = np.diag(si_sdr_matrix(sources, ordered)).mean()
        before = si_sdr_matrix(sources, mixture[None]).mean()
        best = np.diag(si_sdr_matrix(sources, _best_of_chunks(sources, estimates))).mean()
        found = {"si_sdr_i": after - before, "order_loss": best - after}
    lone = [value for value in isolation(sources, ordered, RATE) if value is not None]
    return found | ({"isolation": float(np.mean(lone))} if lone else {})


def diarization_error(truth: Path, estimates: np.ndarray) -> float:
    """Percent, of the turns that an RTTM file tells and those heard in the estimates (2, S)."""
    import spyder

    activity = Activity(RATE)
    activity.push(estimates)
    heard = [
        (f"s{number}", *segment)
        for number, voice in enumerate(activity.segments(), 1)
        for segment in voice
    ]
    turns = []
    for line in truth.read_text(encoding="utf-8").splitlines():
        fields = line.split()
        start = float(fields[3])
        turns.append((fields[7], start, start + float(fields[4])))
    return 100 * spyder.DER(turns, heard, collar=COLLAR).der


def _best_of_chunks(sources: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """The estimates in the best order for each 8 s."""
    pieces = []
    for start in range(0, sources.shape[1], CHUNK * RATE):
        part = slice(start, start + CHUNK * RATE)
        pieces.append(estimates[closest(sources[:, part], estimates[:, part]), part])
    return np.concatenate(pieces, axis=1)


def measure(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Statistics of each score, by condition."""
    separator = Separator.load(options.model, chunk=options.chunk)
    if RATE not in separator.rates or separator.sources != 2:
        raise SystemExit(f"{options.model} is no model of 2 talkers at {RATE} Hz")
    found = {}
    for name, more in conditions(options.noise).items():
        with tempfile.TemporaryDirectory() as folder:
            data = prepare(options, Path(folder), more)
            rows = []
            for number, conversation in enumerate(data.names, 1):
                mixture, sources, _ = data.load(conversation)
                estimates = separator(mixture, RATE)
                truth = data.path / "rttm" / f"{conversation}.rttm"
                rows.append(score(mixture, sources, estimates))
                rows[-1]["der"] = diarization_error(truth, estimates)
                print(f"{name}: {number} of {len(data)}", file=sys.stderr)
        found[name] = {key: describe([row[key] for row in rows if key in row]) for key in COLUMNS}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--noise", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--model", type=Path, default=Path("models/dce-talk"))
    parser.add_argument("--split", choices=FOLDERS, default="test")
    parser.add_argument("--count", type=int, default=60, help="conversations of each condition")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--chunk", type=float, default=CHUNK, help="seconds, of `separate --chunk`")
    parser.add_argument("--write", action="store_true", help="store in the model's metrics.json")
    options = parser.parse_args()
    if find_spec("spyder") is None:
        raise SystemExit("the diarization error rate needs spy-der: pip install spy-der")
    if options.write and (options.split != "test" or options.chunk != CHUNK):
        raise SystemExit(f"--write is for figures on the test split with chunks of {CHUNK} s")
    if options.write:
        parts(options.model, "conversations")  # better known now than after the work
    found = measure(options)
    rows = []
    for name, scores in found.items():
        rows.append([name, *(cell(scores[key], 1 if key == "der" else 2) for key in COLUMNS)])
        print(" | ".join(rows[-1]))
    if options.write:
        setup = {
            "script": "benchmarks/conversations.py",
            "conversations": options.count,
            "seed": options.seed,
            "machine": in_words(machine()),
        }
        figures = {"conversations": found, "conversations_setup": setup}
        titles = ["condition", *COLUMNS.values()]
        publish(options.model, figures, titles, rows, "conversations")


if __name__ == "__main__":
    main()
