"""What to train next: grown forms of the published separator, and complex-linear maps.

    python benchmarks/next_network.py speed
    python benchmarks/next_network.py train NAME --speech ../shared/data/speech.csv
    python benchmarks/next_network.py score --speech ../shared/data/speech.csv

Two questions, each at equal time on one core in float32, with 2 mixtures of 4 s a step. *Grown*:
from the published weights, attention heads, a level of half the bands and frames, or both, beside
plain continuation; what is new begins at zero. *Fresh*: from nothing, local blocks with
complex-linear convolutions and maps (half of their parameters, the same products) beside
real-linear ones, two seeds each. That is with half the channels and half the blocks: in an hour the
whole network hears 4 hours of mixtures on a core, and learns next to nothing of them.

`speed` measures a step of each network, in turns, and so how many steps fill its hours; run it on
a quiet machine. `train` trains one candidate in runs/next/NAME, and goes on where it was stopped.
`score` separates 300 mixtures of the valid split with each candidate whose run is here, weights at
the end, not the best on the way, and adds its paired differences with their intervals to
benchmarks/results/next_network.md. What was chosen of it, and why: next_network_choice.md there.
"""

import argparse
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card import cell, markdown
from commands import command, prepare_mixtures
from machine import in_words, machine
from safetensors.torch import load_file
from shifts import Work, loaded
from shifts import score as quality
from trained import at_the_end

from cplxsep import Separator
from cplxsep.audio.atomic import write_text
from cplxsep.config import Config, read_config
from cplxsep.data.folders import MixtureFolder
from cplxsep.metrics.statistics import describe
from cplxsep.model_folder import catalogue
from cplxsep.model_folder.contents import CONFIG
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.training.heap import keep_freed_memory
from cplxsep.training.objective import Objective
from cplxsep.training.optim import build_optimizers

PARENT = "dce-2spk"
# All are grown from the weights that it had when the first one was.
PARENT_FILE = "70368f3:models/dce-2spk/model.safetensors"
RUNS, RESULTS = Path("runs/next"), Path("benchmarks/results")
SPEEDS, REPORT = RESULTS / "next_network_speed.json", RESULTS / "next_network"
GROWN_HOURS, FRESH_HOURS = 1.0, 0.35
COMMON = ["train.batch=2", "train.accumulate=1", "train.workers=1", "train.precision=fp32"]
COMMON += ["data.train_split=train,extra"]
COMMON += ["model.dual_path.half_hop=false"]  # which the published one has had since
COMMON += ["train.save_every=100", "train.valid_every=1000", "optim.ema=0.999"]
HEADS = ["model.dual_path.heads=4"]
HALF = ["model.dual_path.channels=[96, 192]", "model.dual_path.blocks=[8, 2]"]
SMALL = ["model.dual_path.channels=[48]", "model.dual_path.blocks=[4]"]
SMALL += ["model.dual_path.states=32", "model.dual_path.outer=16"]
COMPLEX = ['model.dual_path.linearity="complex"']
# Changes to the published model's configuration; what they are compared with comes first.
GROWN = {"plain": [], "heads": HEADS, "half": HALF, "heads-half": HEADS + HALF}
FRESH = {
    f"{kind}-{seed}": changes
    for seed in (0, 1)
    for kind, changes in (("real", SMALL), ("complex", SMALL + COMPLEX))
}


def changes_of(name: str) -> list[str]:
    """All of a candidate's changes, but for its number of steps."""
    if name in GROWN:
        # At 4e-4 plain continuation fell by 0.6 dB in its first 1000 steps of two mixtures.
        return [*COMMON, *GROWN[name], "optim.lr=1e-4"]
    return [*COMMON, *FRESH[name], "optim.lr=1.5e-3", f"train.seed={name[-1]}"]


def configuration(name: str) -> Config:
    """A candidate's configuration."""
    return read_config(catalogue.resolve(PARENT) / CONFIG, changes_of(name))


def speed(steps: int = 6) -> None:
    """Measure seconds of a step of each network on one thread, in turns; store the medians."""
    torch.set_num_threads(1)
    if why := backends.enable("cpu"):
        raise SystemExit(why)
    works = {name: _stepper(configuration(name)) for name in [*GROWN, "real-0", "complex-0"]}
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(2 + steps):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            if turn >= 2:
                times[name].append(time.perf_counter() - begun)
    medians = {name: sorted(found)[len(found) // 2] for name, found in times.items()}
    text = json.dumps({"machine": machine(), "seconds_a_step": medians}, indent=2)
    write_text(SPEEDS, f"{text}\n")
    print(text)


def _stepper(config: Config) -> Any:
    model = SeparationModel(config.model).train()
    optimizer = build_optimizers(model, config.optim)
    objective = Objective(config.train)
    sources = torch.randn(config.train.batch, 2, round(config.data.seconds * 8000))

    def step() -> None:
        optimizer.zero_grad()
        objective(model, sources.sum(dim=1), sources, None).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def steps_of(name: str) -> int:
    """Steps that fill a candidate's hours on the machine on which `speed` was run."""
    seconds = json.loads(SPEEDS.read_text(encoding="utf-8"))["seconds_a_step"]
    hours = GROWN_HOURS if name in GROWN else FRESH_HOURS
    network = name if name in GROWN else f"{name.partition('-')[0]}-0"
    return int(hours * 3600 / seconds[network])


def train(name: str, speech: Path) -> None:
    """Train a candidate, on one thread."""
    changes = [*changes_of(name), f"train.steps={steps_of(name)}"]
    changes += [f"data.speech={speech.absolute()}", f"data.cache={RUNS.absolute() / 'cache'}"]
    call = command("train", "--config", PARENT, "--run-dir", RUNS / name)
    call += ["--init", parent()] if name in GROWN else []
    call += [part for change in changes for part in ("--set", change)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    raise SystemExit(subprocess.run(call, env=environment).returncode)


def parent() -> str:
    """File of the weights that candidates are grown from, out of the history of this checkout."""
    file = RUNS / "parent.safetensors"
    if not file.is_file():
        RUNS.mkdir(parents=True, exist_ok=True)
        shown = subprocess.run(["git", "show", PARENT_FILE], check=True, stdout=subprocess.PIPE)
        file.write_bytes(shown.stdout)
    return str(file)


def score(speech: Path, count: int = 300) -> None:
    """Score the candidates whose runs are here; others keep what was found before.

    Each keeps its score on every mixture: those of another day are compared with it.
    """
    data = RUNS / "valid"
    if not (data / "cv").is_dir():
        prepare_mixtures(speech, data, count, 0, split="valid")
    mixtures = list(loaded(MixtureFolder(data / "cv")))
    stored = REPORT.with_suffix(".json")
    rows = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
    if PARENT not in rows:
        model = SeparationModel(configuration("plain").model)
        model.load_state_dict(load_file(parent()))
        rows[PARENT] = measured(Separator(model.eval(), device="cpu", precision="fp32"), mixtures)
    for kind in (GROWN, FRESH):
        first = next(iter(kind))
        for name in kind:
            if not (RUNS / name).is_dir():
                continue
            rows[name] = {"parameters": parameters_of(name), "steps": steps_of(name)}
            rows[name] |= measured(at_the_end(RUNS / name), mixtures)
            rows[name]["less_published"] = less(rows[name], rows[PARENT])
            if name != first and "si_sdr" in rows.get(first, {}):
                rows[name]["less_first"] = less(rows[name], rows[first])
    text = f"Made by `benchmarks/next_network.py` on {count} mixtures of the valid split; means\n"
    text += "of paired differences with their 95 % intervals."
    write_text(stored, json.dumps(rows) + "\n")
    write_text(REPORT.with_suffix(".md"), f"# What to train next\n\n{text}\n\n{table(rows)}\n")
    print(table(rows))


def parameters_of(name: str) -> int:
    """How many a candidate has."""
    return sum(each.numel() for each in SeparationModel(configuration(name).model).parameters())


def measured(separator: Separator, mixtures: list[Work]) -> dict[str, Any]:
    """SI-SDR in dB of each mixture, the mean of its talkers, and of all."""
    found = [quality(work, separator(work.mixture, work.rate))["si_sdr"] for work in mixtures]
    return {
        "machine": in_words(machine()),
        "mean": float(np.mean(found)),
        "si_sdr": [round(value, 3) for value in found],
    }


def less(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Mean of the paired differences, with its interval."""
    return describe([a - b for a, b in zip(own["si_sdr"], other["si_sdr"], strict=True)])


def table(rows: dict[str, Any]) -> str:
    """The candidates that were scored, as markdown."""
    lines = [
        [
            name,
            f"{rows[name]['parameters']:,}",
            str(rows[name]["steps"]),
            f"{rows[name]['mean']:.2f}",
            cell(rows[name]["less_published"]),
            cell(rows[name]["less_first"]) if "less_first" in rows[name] else "",
            rows[name]["machine"],
        ]
        for name in [*GROWN, *FRESH]
        if name in rows
    ]
    columns = ["network", "parameters", "steps", "SI-SDR dB", f"less {PARENT}"]
    return markdown([*columns, "less the first of its kind", "scored on"], lines)


def main() -> None:
    keep_freed_memory()  # as `cplxsep train` does
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed")
    training, scoring = commands.add_parser("train"), commands.add_parser("score")
    training.add_argument("name", choices=[*GROWN, *FRESH])
    for each in (training, scoring):
        each.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    options = parser.parse_args()
    if options.command == "speed":
        speed()
    elif options.command == "train":
        train(options.name, options.speech)
    else:
        score(options.speech)


if __name__ == "__main__":
    main()
