"""Speed of a training step, beside the same network in plain PyTorch, in one run.

    python benchmarks/training.py [--network dual-path|u-net] [--device cpu] [--steps 10]
        [--batch N] [--speech CSV] [--json FILE]

The dual-path network is the shipped separator's (1.77 M parameters), a step 2 mixtures of 4 s on a
CPU, 24 on a GPU. The U-Net has F=16, k=1, C=0 (1.06 M parameters) and 8 mixtures of 3 s on a CPU;
F=44, k=2, C=10 (14.04 M) and 24 of 4 s on a GPU. SI-SDR loss, AdamW. The forms take turns, so that
a machine whose speed drifts is fair to all; the figure is the median step.

    ours               as `cplxsep train` makes it, in bfloat16, but for CPUs without vectors of it,
                       and float32; on a GPU its step without the graph, which `gpu.py OUT --only
                       training` measures
    formula            the U-Net with the norm as written on paper and left to autograd; the
                       dual-path network with all operators in plain PyTorch
    native complex64   PyTorch's complex operators one after another (native_complex.py); U-Net only

Beside them stands a limit for each precision: the rate that this machine reaches on large dense
convolutions and matrices, divided by what the network's products need, three times the forward
ones.

On a GPU each form's peak memory is taken too. With --speech, also how fast one thread makes
mixtures of it: a step must not wait for its data.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from limits import demand, measure_limits
from machine import in_words, machine
from native_complex import native
from torch import Tensor, nn

from cplxsep.config import Config
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.nn.complex_norm import ComplexNorm
from cplxsep.nn.complex_norm.statement import EPS
from cplxsep.nn.device import multiplies_bf16_cpu
from cplxsep.report import table
from cplxsep.training.examples import load_examples
from cplxsep.training.heap import keep_freed_memory
from cplxsep.training.objective import Objective

SMALL = {"unet": {"start_maps": 16, "residual_blocks": 1}}
LARGE = {
    "unet": {"start_maps": 44, "residual_blocks": 2},
    "extractor": {"transformations": 10},
}
DUAL_PATH = {"network": "dual-path", "level": "network"}
WARM_UP = 2
NATIVE = "native complex64"
Step = Callable[[], None]
Change = Callable[[SeparationModel], SeparationModel]


class FormulaNorm(nn.Module):
    """Complex layer norm and CReLU as written on paper."""

    def __init__(self, norm: ComplexNorm) -> None:
        super().__init__()
        self.gain, self.bias, self.relu = norm.gain, norm.bias, norm.relu

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
        out = torch.cat([out_r, out_i], dim=1)
        return (out.relu() if self.relu else out).to(maps.dtype)


def formula(model: SeparationModel) -> SeparationModel:
    """The model with every norm in its plain form."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, ComplexNorm):
                setattr(module, name, FormulaNorm(child))
    return model


# What each form computes in, and how it changes our network; where it does, operators are plain.
FORMS: dict[str, tuple[torch.dtype | None, Change | None]] = {
    "ours, bfloat16": (torch.bfloat16, None),
    "ours, float32": (None, None),
    "formula, bfloat16": (torch.bfloat16, formula),
    "formula, float32": (None, formula),
    NATIVE: (None, native),
}


def stepper(
    config: Config,
    device: torch.device,
    dtype: torch.dtype | None,
    change: Change | None,
) -> Step:
    """A function that makes one training step; `change` None is our own form."""
    torch.manual_seed(0)
    model = SeparationModel(config.model).train()
    model = (change(model) if change else model).to(device)
    parameters = list(model.parameters())
    fused = not any(parameter.is_complex() for parameter in parameters)
    optimizer = torch.optim.AdamW(parameters, 1e-3, fused=fused)
    objective = Objective(config.train)
    length = round(config.data.seconds * config.model.sample_rate)
    sources = torch.randn(config.train.batch, 2, length, device=device)

    def step() -> None:
        if change is None:
            backends.enable(device.type)
        else:
            backends.disable()
        loss = objective(model, sources.sum(dim=1), sources, dtype)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step


def measure(makers: dict[str, Callable[[], Step]], steps: int) -> dict[str, list[float]]:
    """Seconds of the steps of each form, which take turns."""
    forms = {name: make() for name, make in makers.items()}
    times: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(WARM_UP + steps):
        for name, step in forms.items():
            begun = time.perf_counter()
            step()
            if turn >= WARM_UP:
                times[name].append(time.perf_counter() - begun)
    return times


def peak_memory(make: Callable[[], Step], device: torch.device) -> float:
    """MiB that a form alone takes on a GPU."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step = make()
    step()
    step()
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def mixing_rate(speech: Path, count: int = 200) -> float:
    """Seconds of audio that one thread mixes in a second, the speech decoded before."""
    config = Config(data={"speech": str(speech), "train_split": "valid"})
    with tempfile.TemporaryDirectory() as folder:
        (examples,), _ = load_examples(config, Path(folder), print)
        begun = time.perf_counter()
        for index in range(count):
            examples.example(index)
        return count * config.data.seconds / (time.perf_counter() - begun)


def run_well(device: torch.device) -> list[str]:
    """The forms of which a step does not take minutes on a device."""
    in_bf16 = device.type == "cuda" or multiplies_bf16_cpu()
    return [name for name, (dtype, _) in FORMS.items() if dtype is None or in_bf16]


def limits(config: Config, device: torch.device, in_bf16: bool) -> dict[str, float]:
    """What dense products allow by precision, were everything else of a step free."""
    seconds = config.data.seconds
    model = SeparationModel(config.model).to(device)
    forward = demand(model, round(seconds * config.model.sample_rate)).flop / seconds
    names = {"float32": "fp32"} | ({"bfloat16": "bf16"} if in_bf16 else {})
    reached = measure_limits(device.type, tuple(names.values())).matrix
    # The gradient for its input costs a product as much as itself, and that for its weights.
    return {
        "gflop_per_audio_second": 3 * forward / 1e9,
        **{
            f"{name} {what}": value
            for name, short in names.items()
            for what, value in (
                ("gflop_per_second", reached[short] / 1e9),
                ("audio_seconds_per_second", reached[short] / (3 * forward)),
            )
        },
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", choices=["dual-path", "u-net"], default="dual-path")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=10, help="counted steps of each form")
    parser.add_argument("--batch", type=int, help="mixtures of a step")
    parser.add_argument("--seconds", type=float, help="length of a mixture")
    parser.add_argument("--forms", nargs="+", choices=FORMS, help="default: all that run well here")
    parser.add_argument("--speech", type=Path, help="manifest: measure mixing too")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args()


def main() -> None:
    keep_freed_memory()  # as `cplxsep train` does
    options = arguments()
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    dual_path = options.network == "dual-path"
    batch, seconds = (24, 4.0) if on_gpu else (2, 4.0) if dual_path else (8, 3.0)
    config = Config(
        model=DUAL_PATH if dual_path else LARGE if on_gpu else SMALL,
        data={"seconds": options.seconds or seconds},
        train={"batch": options.batch or batch},
    )
    if why := backends.enable(device.type):
        raise SystemExit(f"the native code cannot be measured here: {why}")
    chosen = options.forms or run_well(device)
    forms = [name for name in chosen if not (dual_path and name == NATIVE)]
    makers = {name: partial(stepper, config, device, *FORMS[name]) for name in forms}
    peaks = {name: peak_memory(make, device) for name, make in makers.items()} if on_gpu else {}
    times = measure(makers, options.steps)
    audio = config.train.batch * config.data.seconds
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    found = {
        name: {
            "audio_seconds_per_second": audio / seconds,
            "seconds_a_step": seconds,
            "fastest_step": min(times[name]),
            "slowest_step": max(times[name]),
            "times_native": medians[NATIVE] / seconds if NATIVE in medians else None,
            "peak_mib": peaks.get(name),
        }
        for name, seconds in medians.items()
    }
    bound = limits(config, device, any(FORMS[name][0] for name in forms))
    for name, figures in found.items():
        precision = "bfloat16" if FORMS[name][0] else "float32"
        best = bound[f"{precision} audio_seconds_per_second"]
        figures["of_limit"] = figures["audio_seconds_per_second"] / best
        plain = medians.get(f"formula, {precision}")
        figures["times_formula"] = plain / medians[name] if plain else None
    facts = machine(options.device)
    setup = {"model": config.model.model_dump(), "batch": config.train.batch}
    setup |= {"seconds": config.data.seconds, "steps": options.steps}
    report = {"machine": facts, "setup": setup, "forms": found, "limits": bound}
    print(in_words(facts))
    columns = ["audio_seconds_per_second", "seconds_a_step", "times_formula", "times_native"]
    columns += ["of_limit", "peak_mib"]
    rows = [[name, *(figures[key] for key in columns)] for name, figures in found.items()]
    heads = ["form", "audio s/s", "s a step", "x formula", "x native", "of limit", "peak MiB"]
    print(table(heads, rows))
    print(", ".join(f"{name} {value:.1f}" for name, value in bound.items()))
    if options.speech:
        report["mixing_audio_seconds_per_second"] = rate = mixing_rate(options.speech)
        print(f"one thread mixes {rate:.0f} s of audio a second")
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
