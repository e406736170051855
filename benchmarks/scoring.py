"""Scoring: how fast `cplxsep eval` is, and how well it agrees with mir_eval.

    python benchmarks/scoring.py --speech ../shared/data/speech.csv [--count 200] [--examples 50]

Prepares mixtures of two talkers at 8 kHz with a fixed seed, makes estimates of them by leaking the
other talker and noise, scores these with the command a user has, and compares `--examples` of them
with mir_eval. Prints JSON: seconds of mixtures scored in a second for each set of metrics and
number of workers, start of the processes included, and the largest difference in dB.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import soundfile

METRICS = ("sdr", "sdr,sir,sar,si-sdr")


def cplxsep(*args: object) -> str:
    """Standard output of a command; its errors go to the terminal."""
    command = [sys.executable, "-m", "cplxsep", *map(str, args)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def read(folder: Path, name: str) -> np.ndarray:
    """The two talkers of a file, (2, S)."""
    return np.stack([soundfile.read(folder / f"s{j}" / f"{name}.wav")[0] for j in (1, 2)])


def estimate(data: Path, out: Path) -> float:
    """Write an estimate for each mixture; the length of all in seconds."""
    rng = np.random.default_rng(0)
    seconds = 0.0
    for file in sorted((data / "mix").glob("*.wav")):
        references = read(data, file.stem)
        noise = rng.standard_normal(references.shape) * references.std(axis=1, keepdims=True)
        made = references + rng.uniform(0.05, 0.7) * references[::-1] + 0.05 * noise
        for j, signal in enumerate(made[:: rng.choice([1, -1])], 1):
            (out / f"s{j}").mkdir(parents=True, exist_ok=True)
            rate = soundfile.info(file).samplerate
            soundfile.write(out / f"s{j}" / file.name, signal, rate, subtype="FLOAT")
        seconds += references.shape[1] / rate
    return seconds


def speeds(data: Path, estimates: Path, seconds: float) -> dict[str, dict[str, float]]:
    """Seconds of mixtures that are scored in a second."""
    found: dict[str, dict[str, float]] = {}
    for metrics in METRICS:
        for workers in sorted({1, 2, os.cpu_count() or 1}):
            form = ("eval", "--ref", data, "--est", estimates, "--workers", workers)
            start = time.perf_counter()
            cplxsep(*form, "--metrics", metrics)
            took = time.perf_counter() - start
            found.setdefault(metrics, {})[f"{workers} workers"] = round(seconds / took, 1)
    return found


def differences(data: Path, estimates: Path, count: int) -> dict[str, float]:
    """The largest difference of each score from mir_eval, in dB, over the first `count` files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the module is to go in its next release
        from mir_eval.separation import bss_eval_sources

        form = ("eval", "--ref", data, "--est", estimates, "--metrics", METRICS[1])
        examples = json.loads(cplxsep(*form, "--limit", count, "--json"))["per_example"]
        worst = dict.fromkeys(("sdr", "sir", "sar"), 0.0)
        for example in examples:
            pair = read(data, example["name"]), read(estimates, example["name"])
            *scores, order = bss_eval_sources(*pair)
            for j, source in enumerate(example["sources"]):
                assert source["estimate"] == f"s{order[j] + 1}"
                for key, values in zip(worst, scores, strict=True):
                    worst[key] = max(worst[key], abs(source[key] - values[j]))
    return {"examples": len(examples), **worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="manifest CSV")
    parser.add_argument("--count", type=int, default=200, help="mixtures for the speed")
    parser.add_argument("--examples", type=int, default=50, help="mixtures for mir_eval")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cplxsep(
            *("prepare", "mix", "--speech", options.speech, "-o", folder, "--split", "test"),
            *("--count", options.count, "--rate", 8000, "--snr", "0:5", "--mode", "min"),
        )
        data, estimates = Path(folder) / "tt", Path(folder) / "estimates"
        seconds = estimate(data, estimates)
        result = {
            "mixtures": options.count,
            "seconds": round(seconds, 1),
            "times real time": speeds(data, estimates, seconds),
            "largest difference from mir_eval, dB": differences(data, estimates, options.examples),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
