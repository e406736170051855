"""Small prepared mixtures and estimates for them, on disk."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cplxsep.audio import io
from cplxsep.metrics.bss import bss_pairs, choose

RATE = 8000
NAMES = ("a_1.0_b_-1.0", "c_0.0_d_0.0", "e_2.0_f_-2.0")


def put(path: Path, audio: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write(path, audio.astype(np.float32), rate)


def signals(name: str) -> tuple[np.ndarray, np.ndarray]:
    """References (2, S) and estimates (2, S), the estimates in the other order."""
    rng = np.random.default_rng(NAMES.index(name))
    references = 0.1 * rng.standard_normal((2, 2400))
    noise = 0.03 * rng.standard_normal((2, 2400))
    return references, (references + 0.1 * references[::-1] + noise)[::-1]


class BssScores(NamedTuple):
    """Scores in dB by reference, each (N,); estimates[permutation[j]] belongs to references[j]."""

    sdr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray
    permutation: np.ndarray


def bss_eval(references: np.ndarray, estimates: np.ndarray) -> BssScores:
    """SDR, SIR and SAR of N estimates (N, S), in the order with the best mean SIR."""
    pairs = bss_pairs(references, estimates)
    permutation = choose(pairs, len(pairs.sdr))
    index = (np.arange(len(permutation)), permutation)
    return BssScores(pairs.sdr[index], pairs.sir[index], pairs.sar[index], permutation)


def make(folder: Path) -> Path:
    """A prepared split and estimates for it: tt/{mix,s1,s2}, metadata.csv, est/{s1,s2}."""
    for name in NAMES:
        references, estimates = signals(name)
        put(folder / "tt" / "mix" / f"{name}.wav", references.sum(axis=0))
        for j in (0, 1):
            put(folder / "tt" / f"s{j + 1}" / f"{name}.wav", references[j])
            put(folder / "est" / f"s{j + 1}" / f"{name}.wav", estimates[j])
    rows = [
        "name,condition,room",
        f"{NAMES[0]},clean,x",
        f"{NAMES[1]},clean,y",
        f"{NAMES[2]},far,y",
    ]
    (folder / "tt" / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def arguments(data: Path, *more: object, metrics: str = "si-sdr") -> list[object]:
    """`eval` of the estimates."""
    return ["eval", "--ref", data / "tt", "--est", data / "est", "--metrics", metrics, *more]


def error_lines(done) -> list[str]:
    """What went wrong, one line each; never a traceback."""
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]
