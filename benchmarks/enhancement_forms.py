"""What a correction beside the mask, and magnitudes in the loss, bring to the denoiser.

    python benchmarks/enhancement_forms.py train NAME --speech ../shared/data/speech.csv \
        --noise ../shared/data/noise.csv --rooms FOLDER
    python benchmarks/enhancement_forms.py score --speech ... --noise ... [--count 60]

Each candidate goes on from the published weights for 1000 steps of two examples of 4 s, on the same
examples, in runs/forms/NAME: as it was trained; with a correction, a spectrum that is added to what
the masks make of the mixture's; and by the SNR with a floor alone. `score` enhances the pairs of
benchmarks/enhancement.py of the valid split with the weights that those that were trained have at
the end, not the best on the way, and writes paired differences to
benchmarks/results/enhancement_forms.md.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from card import cell, markdown
from commands import command
from enhancement import SNRS, differences, score_all, summarise
from machine import in_words, machine
from noisy_mixtures import METRICS, RATE, draw_pairs
from trained import at_the_end

from cplxsep import Separator
from cplxsep.audio.atomic import write_text
from cplxsep.parallel import default_workers

PARENT = "dce-denoise"
RUNS, REPORT = Path("runs/forms"), Path("benchmarks/results/enhancement_forms")
COMMON = ["train.steps=1000", "train.batch=2", "train.accumulate=1", "train.workers=1"]
COMMON += ["train.seed=31", "train.precision=fp32", "optim.lr=2e-4", "optim.weight_decay=0.01"]
COMMON += ["optim.decay_share=0.35", "optim.final_lr=0.02", "noise.coded=0.1"]
COMMON += ["model.dual_path.half_hop=false"]  # a correction goes without masks half way
# Changes to what all have in common; what the others are compared with comes first.
FORMS = {
    "as it was trained": [],
    "with a correction": ["model.dual_path.correction=true"],
    "by the SNR alone": ["train.magnitude=0"],
}


def folder(name: str) -> Path:
    """A candidate's run."""
    return RUNS / name.replace(" ", "-")


def train(name: str, speech: Path, noise: Path, rooms: Path) -> None:
    """Train a candidate, on one thread."""
    changes = [*COMMON, *FORMS[name], f"data.cache={RUNS.absolute() / 'cache'}"]
    changes += [f"data.speech={speech.absolute()}", f"noise.recordings={noise.absolute()}"]
    changes += [f"noise.rooms={rooms.absolute()}"]
    call = command("train", "--config", PARENT, "--init", PARENT, "--run-dir", folder(name))
    call += [part for change in changes for part in ("--set", change)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    raise SystemExit(subprocess.run(call, env=environment).returncode)


def compare(speech: Path, noise: Path, count: int, workers: int) -> dict[str, Any]:
    """Figures of each candidate and of the parent, and what each has over the first."""
    separators = {PARENT: Separator.load(PARENT, device="cpu", precision="fp32")}
    separators |= {name: at_the_end(folder(name)) for name in FORMS if folder(name).is_dir()}
    ways = {name: lambda audio, own=own: own(audio, RATE)[0] for name, own in separators.items()}
    pairs = draw_pairs(speech, noise, "valid", count, seed=0)
    scores = score_all(pairs, ways, workers)
    means, first = summarise(scores), next(iter(FORMS))
    found = {
        name: {
            "means": means[name]["all"],
            "more": differences(scores, name)[first] if name != first else None,
        }
        for name in ways
    }
    return {"machine": machine(), "pairs": count, "snrs": SNRS, "candidates": found}


def table(found: dict[str, Any]) -> str:
    """As markdown."""
    first = next(iter(FORMS))
    rows = []
    for name, row in found["candidates"].items():
        own = [f"{row['means'][metric]['mean']:.3f}" for metric in METRICS]
        more = [cell(row["more"][metric], 3) if row["more"] else "" for metric in METRICS]
        rows.append([name, *own, *more])
    names = ["SI-SDR dB", "PESQ-wb", "STOI"]
    return markdown(["", *names, *(f"{name} over {first}" for name in names)], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    training, scoring = commands.add_parser("train"), commands.add_parser("score")
    training.add_argument("name", choices=list(FORMS))
    training.add_argument("--rooms", type=Path, required=True, help="folder of responses")
    scoring.add_argument("--count", type=int, default=60, help="pairs, each at five ratios")
    scoring.add_argument("--workers", type=int, default=default_workers())
    for each in (training, scoring):
        each.add_argument("--speech", type=Path, required=True, help="manifest CSV")
        each.add_argument("--noise", type=Path, required=True, help="manifest CSV")
    options = parser.parse_args()
    if options.command == "train":
        train(options.name, options.speech, options.noise, options.rooms)
    found = compare(options.speech, options.noise, options.count, options.workers)
    text = f"Made by `benchmarks/enhancement_forms.py`, {in_words(found['machine'])}, on "
    text += f"{found['pairs']} pairs of the valid split at five\nratios; means over pairs, in "
    text += "brackets 95 % intervals of paired differences."
    write_text(REPORT.with_suffix(".json"), json.dumps(found, indent=2) + "\n")
    write_text(REPORT.with_suffix(".md"), f"# Forms of the denoiser\n\n{text}\n\n{table(found)}\n")
    print(table(found))


if __name__ == "__main__":
    main()
