"""Speed of one training step: compiled sweeps beside the plain eager form, in one run.

    python benchmarks/training_step.py [--steps 12] [--json FILE]

Network F=16, k=1, C=0 (1.06 M parameters), batch of 8 mixtures of 3 s at 8 kHz, SI-SDR loss,
AdamW. The forms take turns, so that a machine whose speed drifts is fair to all; the figure is
the median step. `plain` normalises with the formula written in PyTorch operators and left to
autograd, as one would first write it.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as `cplxsep train` does

import torch
from torch import Tensor, nn

from cplxsep.config import Config
from cplxsep.networks.registry import build
from cplxsep.nn import passes
from cplxsep.nn.norm import EPS, ComplexNorm
from cplxsep.training.objective import Objective

CONFIG = Config(model={"start_maps": 16, "residual_blocks": 1, "transformations": 0})
BATCH, SECONDS = 8, 3.0


class PlainNorm(nn.Module):
    """Complex layer norm and CReLU as written on paper."""

    def __init__(self, norm: ComplexNorm) -> None:
        super().__init__()
        self.gain, self.bias = norm.gain, norm.bias

    def forward(self, maps: Tensor) -> Tensor:
        real, imag = maps.float().chunk(2, dim=1)
        real = real - real.mean((2, 3), keepdim=True)
        imag = imag - imag.mean((2, 3), keepdim=True)
        a = (real * real).mean((2, 3), keepdim=True) + EPS
        d = (imag * imag).mean((2, 3), keepdim=True) + EPS
        c = (real * imag).mean((2, 3), keepdim=True)
        s = torch.sqrt(a * d - c * c)
        t = torch.sqrt(a + d + 2 * s)
        white_r = ((d + s) * real - c * imag) / (s * t)
        white_i = (-c * real + (a + s) * imag) / (s * t)
        g = self.gain[:, None, :, None, None]
        b = self.bias[:, None, :, None, None]
        out_r = g[0] * white_r + g[1] * white_i + b[0]
        out_i = g[1] * white_r + g[2] * white_i + b[1]
        return torch.cat([out_r.relu(), out_i.relu()], dim=1).to(maps.dtype)


def plain_norms(module: nn.Module) -> None:
    """Replace every norm of a network by its plain form."""
    for name, child in module.named_children():
        if isinstance(child, ComplexNorm):
            setattr(module, name, PlainNorm(child))
        else:
            plain_norms(child)


def stepper(dtype: torch.dtype | None, *, fast: bool, plain: bool) -> Callable[[], None]:
    """A function that makes one training step in the given form."""
    torch.manual_seed(0)
    model = build(CONFIG.model).train()
    if plain:
        plain_norms(model)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    objective = Objective(CONFIG.train)
    sources = torch.randn(BATCH, 2, int(SECONDS * CONFIG.model.sample_rate))

    def step() -> None:
        if fast:
            passes.enable_fast("cpu")
        loss = objective(model, sources.sum(dim=1), sources, dtype)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        passes.disable_fast()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=12, help="counted steps of each form")
    parser.add_argument("--json", help="write the figures here too")
    options = parser.parse_args()
    if why := passes.enable_fast("cpu"):
        parser.exit(1, f"the compiled sweeps cannot be measured here: {why}\n")
    forms = {
        "float32 plain": stepper(None, fast=False, plain=True),
        "bfloat16 plain": stepper(torch.bfloat16, fast=False, plain=True),
        "bfloat16 analytic gradient, eager": stepper(torch.bfloat16, fast=False, plain=False),
        "bfloat16 analytic gradient, compiled": stepper(torch.bfloat16, fast=True, plain=False),
    }
    times: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(options.steps + 2):
        for name, step in forms.items():
            start = time.perf_counter()
            step()
            if turn >= 2:  # warm-up
                times[name].append(time.perf_counter() - start)
    rates = {name: BATCH * SECONDS / statistics.median(t) for name, t in times.items()}
    base = rates["bfloat16 plain"]
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"{machine}; seconds of audio a second, median of {options.steps} steps")
    for name, rate in rates.items():
        print(f"  {name:38s} {rate:6.1f}   {rate / base:4.1f} x bfloat16 plain")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "audio_seconds_per_second": rates}, file, indent=2)


if __name__ == "__main__":
    main()
