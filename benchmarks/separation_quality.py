"""Quality of a shipped separator on the test split: the figures of its model card.

    python benchmarks/separation_quality.py --speech ../shared/data/speech.csv \
        --model models/dce-2spk-8k [--count 300] [--seed 0] [--write]

Prepares mixtures of unseen talkers (8 kHz, 0 to 5 dB, min mode) with a fixed seed, separates and
scores them with the commands a user has, and prints the summary. `--write` stores it in the
model's metrics.json beside the checksum of the weights that it belongs to.
"""

import argparse
import json
import tempfile
from pathlib import Path

from card import cell, parts, publish
from commands import cplxsep, prepare_mixtures
from machine import in_words, machine

METRICS = "sdr,sir,sar,si-sdr"
COLUMNS = {"si_sdr_i": "SI-SDRi dB", "si_sdr": "SI-SDR dB", "sdr": "SDR dB", "sdr_i": "SDRi dB"}


def score(speech: Path, model: Path, count: int, seed: int) -> dict:
    """What `cplxsep eval --json` says of the model on freshly prepared mixtures."""
    with tempfile.TemporaryDirectory() as folder:
        data = prepare_mixtures(speech, Path(folder), count, seed)
        return json.loads(
            cplxsep("eval", "--model", model, "--data", data, "--metrics", METRICS, "--json")
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--model", type=Path, default=Path("models/dce-2spk-8k"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="store in the model's metrics.json")
    options = parser.parse_args()
    if options.write:
        parts(options.model)  # better known now than after the work
    result = score(options.speech, options.model, options.count, options.seed)
    groups = {"all": result["summary"], **result["by"].get("condition", {})}
    for group, scores in groups.items():
        for key, value in scores.items():
            print(f"{group:22s} {key:10s} {cell(value):28s} n={value['n']}")
    if options.write:
        figures = {
            "test": result["summary"],
            "test_groups": {name: scores for name, scores in groups.items() if name != "all"},
            "test_setup": {
                "script": "benchmarks/separation_quality.py",
                "mixtures": result["examples"],
                "seed": options.seed,
                "null": result["null"],
                "machine": in_words(machine()),
            },
        }
        rows = [
            [group, str(scores["si_sdr_i"]["n"]), *(cell(scores[key]) for key in COLUMNS)]
            for group, scores in groups.items()
        ]
        publish(options.model, figures, ["mixtures", "n", *COLUMNS.values()], rows)


if __name__ == "__main__":
    main()
