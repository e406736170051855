"""The last words of a run: what came out, in a few lines."""

import math
from pathlib import Path

from torch import nn

from cplxsep.report import table
from cplxsep.training.log import CURVES
from cplxsep.training.progress import Progress


def summary(progress: Progress, network: nn.Module, folder: Path, model: Path) -> str:
    """A table of a finished run, and what to do with its model."""
    sound = [(score, step) for step, score in progress.history if math.isfinite(score)]
    best = max(sound, default=(float("nan"), 0), key=lambda item: item[0])
    parameters = sum(parameter.numel() for parameter in network.parameters())
    rows: list[list[str]] = [
        ["valid SI-SDR improvement", f"{progress.best:.2f} dB"],
        ["best single validation", f"{best[0]:.2f} dB at step {best[1]}"],
        ["steps", str(progress.step) + _bad(progress.bad_steps)],
        ["audio", f"{progress.audio / 3600:.2f} h"],
        ["time", f"{progress.busy / 60:.1f} min"],
        ["speed", f"{progress.audio / max(progress.busy, 1e-9):.1f} s of audio a second"],
        ["parameters", f"{parameters:,}"],
        ["curves", str(folder / CURVES)],
    ]
    use = "enhance" if getattr(network, "sources", 2) == 1 else "separate"
    return f"{table(['', 'result'], rows)}\ncplxsep {use} -m {model} FILES"


def _bad(steps: int) -> str:
    return f", {steps} of them not finite and left out" if steps else ""
