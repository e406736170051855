"""The commands that a user has, as benchmarks run them."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CHILD = Path(__file__).with_name("child.py")


def cplxsep(*args: object) -> str:
    """Standard output of `cplxsep ARGS...`; its errors go to the terminal."""
    return subprocess.run(command(*args), check=True, stdout=subprocess.PIPE, text=True).stdout


def command(*args: object) -> list[str]:
    """`cplxsep ARGS...` with the Python that runs this."""
    return [sys.executable, "-m", "cplxsep", *map(str, args)]


def prepare_mixtures(
    speech: Path, folder: Path, count: int, seed: int, rate: int = 8000, split: str = "test"
) -> Path:
    """Folder of mixtures of two talkers of a split at `rate` Hz: 0 to 5 dB, min mode."""
    cplxsep(
        *("prepare", "mix", "--speech", speech, "-o", folder, "--split", split),
        *("--count", count, "--seed", seed, "--rate", rate, "--snr", "0:5", "--mode", "min"),
    )
    return folder / {"test": "tt", "valid": "cv"}[split]


@dataclass(frozen=True)
class Measured:
    """One run of a command: wall time, peak resident memory in MiB, its standard output."""

    seconds: float
    peak_mib: float
    output: str


def measure(arguments: list[str]) -> Measured:
    """Run a command by itself. RuntimeError with its last words if it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(CHILD), *arguments], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed: {done.stderr.strip()[-400:]}")
    output, _, figures = done.stdout.rstrip("\n").rpartition("\n")
    return Measured(**json.loads(figures), output=output)
