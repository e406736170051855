"""Rate of `--cluster local` beside the plain command, over the same files.

    python benchmarks/cluster.py [--files 200] [--seconds 10] [--model dce-2spk]

Prints JSON. Counted is from the first output written to the last, for both: the start of Python,
Ray and its actors, and the loading of the model, are not.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from commands import command
from machine import machine

RATE = 8000


def make_files(folder: Path, count: int, seconds: float) -> None:
    """Write noise in syllables: the work is the same for any sound."""
    samples = round(seconds * RATE)
    for number in range(count):
        rng = np.random.default_rng(number)
        syllables = rng.random(samples // 1600 + 2)
        loudness = np.interp(np.arange(samples) / 1600, np.arange(len(syllables)), syllables)
        audio = 0.1 * loudness * rng.standard_normal(samples)
        soundfile.write(folder / f"{number:04d}.wav", audio, RATE)


def timed(arguments: list[str]) -> tuple[float, float]:
    """Seconds from the first output to the last, and of the whole command."""
    begun = time.perf_counter()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        lines = [time.perf_counter() for _ in child.stdout]
    whole = time.perf_counter() - begun
    if child.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed")
    return lines[-1] - lines[0], whole


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--model", default="dce-2spk")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        (top / "in").mkdir()
        make_files(top / "in", options.files, options.seconds)
        shared = ("separate", top / "in", "-m", options.model, "--device", "cpu")
        for name, more in (("plain", ()), ("cluster", ("--cluster", "local"))):
            seconds, whole = timed(command(*shared, "-o", top / name, *more))
            rate = (options.files - 1) * options.seconds / seconds
            figures[name] = {"times_real_time": round(rate, 2), "command_seconds": round(whole, 1)}
        equal = contents(top / "plain") == contents(top / "cluster")
    ratio = figures["cluster"]["times_real_time"] / figures["plain"]["times_real_time"]
    about = {"files": options.files, "seconds": options.seconds, "model": options.model}
    about |= {"equal_bytes": equal, "ratio": round(ratio, 3)}
    print(json.dumps(about | figures | {"machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
