"""What a device reaches: separating and training, beside its own measured limits.

    python benchmarks/gpu_speed.py PART [--device cuda] [--out FOLDER] [--quick]

Parts: environment, speech, engine, files, profile, training. What is found is printed as lines of
JSON; `benchmarks/gpu.py` runs it so and says what each part is.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from commands import command, measure

Row = dict[str, Any]
# Networks by name, and the rates in Hz that they are run at.
WORKS = (("dce-2spk", 8000), ("dce-talk", 16000), ("dce-denoise", 16000), ("large", 8000))
# Shipped configurations that are trained, and the mixtures of a step.
TRAININGS = {"dce-2spk": 24, "dce-2spk-8k-large": 24, "paper/conv-tasnet": 8}


def say(row: Row) -> None:
    print(json.dumps(row), flush=True)


def made_up(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Two talkers of noise in syllables, (S,) float32."""
    from workload import recording

    return recording(seconds, rate, None, seed)


def environment(options: argparse.Namespace) -> None:
    """Versions and what is there."""
    import torch
    from machine import machine

    for name, value in machine(options.device).items():
        say({"what": name, "value": value})
    say({"what": "kernel", "value": platform.release()})
    say({"what": "CUDA of torch", "value": torch.version.cuda})
    say({"what": "cuDNN", "value": torch.backends.cudnn.version()})
    say({"what": "triton", "value": _version("triton")})
    if options.device != "cpu":
        from cplxsep.nn.backends import triton_works

        say({"what": "triton works", "value": triton_works(torch.device(options.device))})
        asked = "name,driver_version,memory.total,clocks.max.sm,power.limit"
        smi = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
        say({"what": "nvidia-smi", "value": subprocess.getoutput(" ".join(smi))})
    doctor = subprocess.run(command("doctor", "--json"), stdout=subprocess.PIPE, text=True)
    found = json.loads(doctor.stdout)  # also where it ends with what does not work
    for name in ("gpus", "c++ compiler", "works"):
        say({"what": f"doctor, {name}", "value": str(found.get(name))})


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def speech(options: argparse.Namespace) -> None:
    """A data folder of made-up talkers: noise in syllables, each in a band of its own."""
    folder, rng, rate = options.folder, np.random.default_rng(0), 8000
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["path,corpus,speaker,split,sample_rate,seconds"]
    talkers, seconds = (6, 4.0) if options.quick else (40, 30.0)
    for talker in range(talkers):
        audio = made_up(seconds, rate, talker)
        spectrum = np.fft.rfft(audio)
        centre = len(spectrum) * (0.1 + 0.8 * rng.random())
        spectrum *= np.exp(-(((np.arange(len(spectrum)) - centre) / (0.1 * len(spectrum))) ** 2))
        audio = np.fft.irfft(spectrum, len(audio))
        soundfile.write(folder / f"t{talker}.wav", 0.5 * audio / np.abs(audio).max(), rate)
        split = "train" if talker < talkers - max(talkers // 5, 2) else "valid"
        rows.append(f"t{talker}.wav,made,t{talker},{split},{rate},{seconds}")
    (folder / "speech.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    say({"talkers": talkers, "seconds": talkers * seconds})


def engine(options: argparse.Namespace) -> None:
    """Audio separated in a second, from memory to memory, in bfloat16."""
    from limits import demand, measure_limits

    from cplxsep import Separator

    limits = measure_limits(options.device, ("bf16",), options.quick)
    say({"network": "limits", "TFLOP/s": limits.matrix["bf16"] / 1e12, "GB/s": limits.memory / 1e9})
    for name, rate in WORKS[:1] if options.quick else WORKS:
        model = _model(name)
        begun = time.perf_counter()
        chunk = 1.0 if options.quick else 8.0
        separator = Separator(
            model, device=options.device, precision=_precision(options), chunk=chunk
        )
        runs = separator.at(rate)
        ready = time.perf_counter() - begun
        seconds = 4.0 if options.quick else 770.0  # 128 chunks
        audio = made_up(seconds, rate)
        times = _times(lambda: separator(audio, rate), options)  # noqa: B023 (called at once)
        median = statistics.median(times)
        plan = runs.plan
        there = model.at(rate).to(options.device)  # of a rate of its own it is made on the CPU
        needed = demand(there, plan.length)
        least, what = needed.least_seconds(limits, "bf16")
        chunks = max(seconds * rate - plan.length, 0) / plan.hop + 1
        say(
            {"network": name, "Hz": rate, "form": runs.form, "batch": runs.batch}
            | {"audio s/s": seconds / median, "best": seconds / min(times), "ready after s": ready}
            | {"of limit": chunks * least / median, "limit": what}
            | {"GPU MiB": _peak(options.device)}
        )


def _precision(options: argparse.Namespace) -> str:
    return "fp32" if options.quick else "bf16"  # a CPU may take minutes for products of bfloat16


def _model(name: str) -> Any:
    from forms import network

    return network(name)


def _times(work: Callable[[], object], options: argparse.Namespace) -> list[float]:
    """Seconds of a few runs, once the first ones have made graphs and kernels."""
    times = []
    for _ in range(2 if options.quick else 8):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return times[1:] if options.quick else times[3:]


def _peak(device: str) -> float | None:
    import torch

    if torch.device(device).type != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated(device) / 2**20
    torch.cuda.reset_peak_memory_stats(device)
    torch.cuda.empty_cache()
    return peak


def files(options: argparse.Namespace) -> None:
    """`cplxsep separate` as a user has it, the time of its start taken off beside it."""
    loads = [(1, 600.0), (1, 3600.0), (16, 600.0), (300, 10.0)]
    if options.quick:
        loads = [(2, 1.0)]
    with tempfile.TemporaryDirectory() as folder:
        paths, start = Path(folder), None
        for name in ("dce-2spk", "dce-talk")[: 1 if options.quick else 2]:
            start = _separated(paths, name, 1, 1.0, options.device)
            say({"model": name, "files": 1, "seconds each": 1.0, "seconds": start})
            for count, seconds in loads[: 2 if name != "dce-2spk" else None]:
                took = _separated(paths, name, count, seconds, options.device)
                audio = count * seconds
                say(
                    {"model": name, "files": count, "seconds each": seconds, "seconds": took}
                    | {"audio s/s": audio / took}
                    | {"once started": audio / max(took - start, 1e-3)}
                )


def _separated(folder: Path, name: str, count: int, seconds: float, device: str) -> float:
    """Seconds that the command takes for so many files at 8 kHz; for dce-talk at 16 kHz."""
    rate = 16000 if name == "dce-talk" else 8000
    audio = made_up(seconds, rate)
    given = [folder / f"in{number}.wav" for number in range(count)]
    for path in given:
        soundfile.write(path, audio, rate, subtype="PCM_16")
    out = folder / "out"
    done = measure(command("separate", *given, "-m", name, "-o", out, "--device", device))
    for path in [*given, *out.iterdir()]:
        path.unlink()
    return done.seconds


def profile(options: argparse.Namespace) -> None:
    """Tables of torch.profiler and of Python's, and how much of the time the GPU was busy."""
    import cProfile
    import pstats

    import torch

    from cplxsep import Separator

    on_gpu = torch.device(options.device).type == "cuda"
    kinds = torch.profiler.ProfilerActivity
    for name, rate in WORKS[:1] if options.quick else WORKS:
        separator = Separator(_model(name), device=options.device, precision=_precision(options))
        seconds = 2.0 if options.quick else 400.0
        audio = made_up(seconds, rate)
        for _ in range(4 if on_gpu else 1):
            separator(audio, rate)
        with torch.profiler.profile(activities=[kinds.CPU, *([kinds.CUDA] if on_gpu else [])]) as p:
            begun = time.perf_counter()
            separator(audio, rate)
            wall = time.perf_counter() - begun
        found = p.key_averages()
        busy = sum(one.self_device_time_total for one in found if one.device_type.name == "CUDA")
        say({"network": name, "Hz": rate, "GPU busy": busy / 1e6 / wall, "profiled s": wall})
        orders = ["self_cuda_time_total"] if on_gpu else []
        orders.append("self_cpu_time_total")
        tables = [found.table(order, row_limit=40, max_name_column_width=70) for order in orders]
        host = cProfile.Profile()
        host.runcall(separator, audio, rate)
        with (options.out / f"profile-{name}-{rate}.txt").open("w", encoding="utf-8") as file:
            file.write("\n".join(tables))
            pstats.Stats(host, stream=file).sort_stats("tottime").print_stats(30)


def training(options: argparse.Namespace) -> None:
    """Steps of `cplxsep train` on made-up speech, and what dense products would allow."""
    from gpu_trainings import configuration, to_time
    from limits import demand, measure_limits

    from cplxsep.networks.model import SeparationModel

    limits = measure_limits(options.device, ("bf16",), options.quick)
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder) / "speech"
        speech(options)
        for name, batch in TRAININGS.items():
            row: Row = {"config": name, "batch": 2 if options.quick else batch}
            steps, minutes = (20, 10.0) if options.quick else (400, 0.5)
            changes = to_time(options.folder / "speech.csv", row["batch"], steps, options.quick)
            arguments: list[object] = ["--device", options.device]
            arguments += ["--max-steps", steps, "--max-minutes", minutes]
            row |= _trained(name, changes, arguments, Path(folder))
            config = configuration(name, changes)
            model = SeparationModel(config.model).to(options.device)
            needed = demand(model, round(config.data.seconds * model.sample_rate))
            # The gradient for its input costs a product as much as itself, and that for weights.
            allowed = limits.matrix["bf16"] / (3 * needed.flop)
            row["products allow s/s"] = config.data.seconds * allowed
            if rate := row.get("audio s/s"):
                row["of limit"] = rate / row["products allow s/s"]
            say(row)
            if options.quick:
                return


def _trained(name: str, changes: list[str], more: list[object], folder: Path) -> Row:
    """Audio trained on in a second, between the lines of the log; or the error's last line."""
    run = folder / f"run-{name.replace('/', '-')}"
    arguments: list[object] = ["train", "--config", name, "--run-dir", run, *more]
    for change in changes:
        arguments += ["--set", change]
    begun = time.perf_counter()
    done = subprocess.run(command(*arguments), capture_output=True, text=True)
    took = time.perf_counter() - begun
    sys.stderr.write(done.stderr)
    said = done.stderr.strip().splitlines()
    if done.returncode:
        return {"outcome": "failed", "error": said[-1] if said else str(done.returncode)}
    log = (run / "log.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in log]
    lines = [line for line in lines if "loss" in line]
    if not lines:
        return {"outcome": "too few steps for a line of the log", "whole s": took}
    row: Row = {"outcome": "trained", "steps": lines[-1]["step"], "whole s": took}
    if len(lines) > 1:  # without what the first steps took
        first, last = lines[0], lines[-1]
        busy = last["seconds"] - first["seconds"]
        row["audio s/s"] = (last["audio_seconds"] - first["audio_seconds"]) / max(busy, 1e-9)
    row["loss"] = lines[-1]["loss"]
    return row


PARTS = {part.__name__: part for part in (environment, speech, engine, files, profile, training)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--folder", type=Path, help="of the made-up speech")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    PARTS[options.part](options)


if __name__ == "__main__":
    main()
