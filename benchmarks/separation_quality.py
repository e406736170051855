"""Quality of a shipped separator on the test split: the figures of its model card.

    python benchmarks/separation_quality.py --speech ../shared/data/speech.csv \
        --model models/dce-2spk-8k [--count 300] [--seed 0] [--write]

Prepares mixtures of unseen talkers (8 kHz, 0 to 5 dB, min mode) with a fixed seed, separates and
scores them with the commands a user has, and prints the summary. `--write` stores it in the
model's metrics.json beside the checksum of the weights that it belongs to.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

METRICS = "sdr,sir,sar,si-sdr"
COLUMNS = {"si_sdr_i": "SI-SDRi dB", "si_sdr": "SI-SDR dB", "sdr": "SDR dB", "sdr_i": "SDRi dB"}
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def cplxsep(*args: object) -> str:
    """Standard output of a command; its errors go to the terminal."""
    command = [sys.executable, "-m", "cplxsep", *map(str, args)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def score(speech: Path, model: Path, count: int, seed: int) -> dict:
    """What `cplxsep eval --json` says of the model on freshly prepared mixtures."""
    with tempfile.TemporaryDirectory() as folder:
        cplxsep(
            *("prepare", "mix", "--speech", speech, "-o", folder, "--split", "test"),
            *("--count", count, "--seed", seed, "--rate", 8000, "--snr", "0:5", "--mode", "min"),
        )
        data = Path(folder) / "tt"
        return json.loads(
            cplxsep("eval", "--model", model, "--data", data, "--metrics", METRICS, "--json")
        )


def write_card(path: Path, summary: dict) -> None:
    """Replace the table between the card's two markers."""
    rows = ["| mixtures | n | " + " | ".join(COLUMNS.values()) + " |"]
    rows.append("|---|---|" + "---|" * len(COLUMNS))
    for group, scores in summary.items():
        cells = []
        for key in COLUMNS:
            low, high = scores[key]["ci"] or (float("nan"),) * 2
            cells.append(f"{scores[key]['mean']:.2f} ({low:.2f} to {high:.2f})")
        rows.append(f"| {group} | {scores['si_sdr_i']['n']} | " + " | ".join(cells) + " |")
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join(rows)
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--model", type=Path, default=Path("models/dce-2spk-8k"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="store in the model's metrics.json")
    options = parser.parse_args()
    result = score(options.speech, options.model, options.count, options.seed)
    for group, scores in result["summary"].items():
        for key, value in scores.items():
            low, high = value["ci"] or (float("nan"),) * 2
            print(
                f"{group:22s} {key:10s} {value['mean']:6.2f}  [{low:.2f}, {high:.2f}]  "
                f"n={value['n']}"
            )
    if options.write:
        path = options.model / "metrics.json"
        metrics = json.loads(path.read_text(encoding="utf-8"))
        weights = (options.model / "model.safetensors").read_bytes()
        metrics["sha256"] = hashlib.sha256(weights).hexdigest()
        metrics["test"] = result["summary"]["all"]
        metrics["test_groups"] = {k: v for k, v in result["summary"].items() if k != "all"}
        metrics["test_setup"] = {
            "script": "benchmarks/separation_quality.py",
            "mixtures": result["examples"],
            "seed": options.seed,
            "null": result["null"],
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
        }
        path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        write_card(options.model / "README.md", result["summary"])


if __name__ == "__main__":
    main()
