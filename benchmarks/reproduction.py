"""The paper's comparisons repeated on our speech, each row on the same mixtures.

    python benchmarks/reproduction.py --speech ../shared/data/speech.csv --work runs/reproduction \
        (--hours 2.0 | --minutes 60) [--scale cpu|gpu] [--rows NAME ...] [--count 200] [--seed 0] \
        [--device auto] [--set A.B=C ...] [--out benchmarks/results]

Trains each row with `cplxsep train` and scores it with `cplxsep eval` on mixtures of unseen
talkers. All rows see the same mixtures in the same order, as many hours of audio as --hours says,
or as go with the rows' speeds into --minutes a row. A finished row is not done again, one that was
interrupted goes on. Writes reproduction.json and reproduction.md after each row.

Scale: F=16, k=1 on a CPU, F=44, k=2 on a GPU. Ours, not the paper's, are the speech, the short
budget, and Muon with a cosine schedule instead of 200 epochs of SGD; see reproduction_rows.py.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import torch
from commands import command, cplxsep, prepare_mixtures
from machine import machine
from reproduction_report import write
from reproduction_rows import BATCH, ROWS, Row, settings

from cplxsep.audio.atomic import write_text
from cplxsep.config import Config, parse_config, to_toml

PROBE_STEPS = 40  # that show a row's speed; the second half is counted
PROBE_HOURS = 10.0  # of the run that they begin: enough for that many steps at every scale
INTERRUPTED = 130


def main() -> None:
    options = arguments()
    scale = options.scale or ("gpu" if torch.cuda.is_available() else "cpu")
    rows = [row for row in ROWS if not options.rows or row.name in options.rows]
    work = options.work.absolute()
    test = work / f"test-{options.count}-{options.seed}"
    if not (test / "tt").is_dir():
        prepare_mixtures(options.speech, test, options.count, options.seed)
    hours = options.hours or affordable(rows, options, scale, work)
    setup = {
        "scale": scale,
        "hours": hours,
        "count": options.count,
        "seed": options.seed,
        "changes": options.changes,
        "machine": machine("cuda" if scale == "gpu" else "cpu"),
    }
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        folder = work / f"{scale}-{hours:.3f}h-seed{options.seed}" / row.name
        config = configuration(row, options, scale, hours, work)
        found[row.name] = one_row(folder, config, test / "tt", options.device)
        write(options.out, setup, found)
        print(f"{row.name}: {outcome(found[row.name])}", flush=True)
    print(options.out / "reproduction.md")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV with three splits")
    parser.add_argument("--work", type=Path, required=True, help="runs go here and are found again")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--hours", type=float, help="of audio that each row trains on")
    budget.add_argument("--minutes", type=float, help="of time for a row, in the mean over rows")
    parser.add_argument("--scale", choices=sorted(BATCH), help="default gpu where there is one")
    parser.add_argument("--rows", nargs="+", choices=[row.name for row in ROWS], help="only these")
    parser.add_argument("--count", type=int, default=200, help="mixtures to test on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="A.B=C")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    return parser.parse_args()


def configuration(
    row: Row, options: argparse.Namespace, scale: str, hours: float, work: Path
) -> Config:
    """The whole configuration of a row's run."""
    values = settings(row, scale, hours, options.seed)
    values["data"] |= {"speech": str(options.speech.absolute()), "cache": str(work / "cache")}
    return parse_config(values, row.name, options.changes)


def affordable(rows: list[Row], options: argparse.Namespace, scale: str, work: Path) -> float:
    """Hours of audio for each row that take --minutes a row in the mean; measured once."""
    names = " ".join([*(row.name for row in rows), options.device, *options.changes])
    known = work / f"budget-{scale}-{options.minutes:g}min-seed{options.seed}.json"
    budget = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    if names not in budget:
        cost = 0.0  # seconds for a second of audio in each row
        for row in rows:
            config = configuration(row, options, scale, PROBE_HOURS, work)
            few = config.data.model_copy(update={"valid_mixtures": 1})
            with tempfile.TemporaryDirectory(dir=work) as folder:
                train(Path(folder), config.model_copy(update={"data": few}), options.device, True)
                cost += seconds_a_second(Path(folder) / "run")
        budget[names] = options.minutes / 60 * len(rows) / cost
        write_text(known, json.dumps(budget, indent=2) + "\n")
    return budget[names]


def seconds_a_second(run: Path) -> float:
    """What a second of audio cost in a short run, once it was under way."""
    early, late = [line for line in log(run) if "loss" in line][-2:]
    return (late["seconds"] - early["seconds"]) / (late["audio_seconds"] - early["audio_seconds"])


def log(run: Path) -> list[dict[str, Any]]:
    """Lines of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def one_row(folder: Path, config: Config, test: Path, device: str) -> dict[str, Any]:
    """A row's result: what a run before left, or trained and scored now."""
    done = folder / "result.json"
    wanted = {"config": tomllib.loads(to_toml(config)), "test": str(test)}
    if done.is_file():
        result = json.loads(done.read_text(encoding="utf-8"))
        same = parse_config(dict(result["config"]), str(done)) == config
        if same and result.get("test") == str(test):
            return result
    folder.mkdir(parents=True, exist_ok=True)
    model, failure = train(folder, config, device)
    if failure:
        return {"failed": failure}
    scored = json.loads(
        cplxsep(
            *("eval", "--model", model, "--data", test, "--metrics", "sdr,si-sdr", "--json"),
            *("--device", device),
        )
    )
    last = log(folder / "run")[-1]
    metrics = json.loads((model / "metrics.json").read_text(encoding="utf-8"))
    result = wanted | {
        "parameters": metrics["parameters"],
        "valid_si_sdr_i": metrics["valid"]["si_sdr_i"],
        "hours": last["audio_seconds"] / 3600,
        "minutes": last["seconds"] / 60,
        "summary": scored["summary"],
        "files": {
            example["name"]: sum(source["sdr"] for source in example["sources"])
            / len(example["sources"])
            for example in scored["per_example"]
            if all(source["sdr"] is not None for source in example["sources"])
        },
    }
    write_text(done, json.dumps(result, indent=1) + "\n")
    return result


def train(folder: Path, config: Config, device: str, probe: bool = False) -> tuple[Path, str]:
    """The model that the train command leaves in a run's folder, or what went wrong."""
    file = folder / "config.toml"
    write_text(file, to_toml(config))
    short = ("--max-steps", PROBE_STEPS) if probe else ()
    done = subprocess.run(
        command("train", "--config", file, "--run-dir", folder / "run", "--device", device, *short),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if probe else None,
        text=True,
        check=False,
    )
    if done.returncode == INTERRUPTED:
        sys.exit(INTERRUPTED)
    if done.returncode and probe:
        sys.exit(f"{config.train.loss} {config.model.network}: {done.stderr.strip()}")
    if done.returncode:
        return folder, f"training ended with exit code {done.returncode}"
    return Path(done.stdout.strip()), ""


def outcome(result: dict[str, Any]) -> str:
    """A row's result in a few words."""
    if "failed" in result:
        return result["failed"]
    sdr = result["summary"]["sdr"]
    return f"SDR {sdr['mean']:.2f} dB over {sdr['n']} mixtures"


if __name__ == "__main__":
    main()
