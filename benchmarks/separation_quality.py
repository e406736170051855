"""Quality of a shipped separator on the test split: the figures of its model card.

    python benchmarks/separation_quality.py --speech ../shared/data/speech.csv \
        --speakers ../shared/data/speakers.csv [--model models/dce-2spk] \
        [--count 300] [--seed 0] [--write]

Prepares mixtures of unseen talkers (0 to 5 dB, min mode) with a fixed seed at each of the model's
rates, the same at each, separates them in float32 and scores them with the commands a user has, and
prints the summary: of all mixtures, by corpus, and, where `--speakers` gives the sex of each
speaker, by pairs of one sex and of two. `--write` stores it in the model's metrics.json beside the
checksum of the weights that it belongs to.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from card import cell, parts, publish
from commands import cplxsep, prepare_mixtures
from machine import in_words, machine

from cplxsep.model_folder import catalogue

METRICS = "sdr,sir,sar,si-sdr"
SEXES = {"same": "one sex", "different": "two sexes"}
COLUMNS = {"si_sdr_i": "SI-SDRi dB", "si_sdr": "SI-SDR dB", "sdr": "SDR dB", "sdr_i": "SDRi dB"}


def score(options: argparse.Namespace, rate: int) -> dict[str, Any]:
    """What `cplxsep eval --json` says of the model on freshly prepared mixtures."""
    told = ("--speakers", options.speakers) if options.speakers else ()
    with tempfile.TemporaryDirectory() as folder:
        data = prepare_mixtures(options.speech, Path(folder), options.count, options.seed, rate)
        scored = ("--model", options.model, "--precision", "fp32", "--data", data)
        return json.loads(cplxsep("eval", *scored, "--metrics", METRICS, "--json", *told))


def groups(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Scores of all mixtures, by the corpora that their talkers are from, and by their sexes."""
    by = result["by"]
    sexes = by.get("sexes", {})
    told = {name: sexes[label] for label, name in SEXES.items() if label in sexes}
    return {"all": result["summary"], **by.get("condition", {}), **told}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--speakers", type=Path, help="CSV of speaker and sex")
    parser.add_argument("--model", type=Path, default=Path("models/dce-2spk"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="store in the model's metrics.json")
    options = parser.parse_args()
    if options.write:
        parts(options.model)  # better known now than after the work
    results, rows = {}, []
    for rate in catalogue.describe(options.model).rates:
        found = results[rate] = score(options, rate)
        for group, scores in groups(found).items():
            for key, value in scores.items():
                print(f"{rate:6d} {group:22s} {key:10s} {cell(value):28s} n={value['n']}")
            counted = str(scores["si_sdr_i"]["n"])
            rows.append([str(rate), group, counted, *(cell(scores[key]) for key in COLUMNS)])
    if options.write:
        figures = {}
        for rate, found in results.items():
            own = groups(found)
            figures[str(rate)] = {"test": own.pop("all"), "test_groups": own, "null": found["null"]}
        first = next(iter(figures.values()))
        known = {
            "test": first["test"],
            "test_groups": first["test_groups"],
            "test_by_rate": figures,
            "test_setup": {
                "script": "benchmarks/separation_quality.py",
                "mixtures": options.count,
                "seed": options.seed,
                "machine": in_words(machine()),
            },
        }
        publish(options.model, known, ["rate Hz", "mixtures", "n", *COLUMNS.values()], rows)


if __name__ == "__main__":
    main()
