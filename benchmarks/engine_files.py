"""From files to files with the commands that a user has: start-up, length, exactness."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from commands import command, cplxsep, measure, prepare_mixtures
from forms import NETWORKS, RATE, SEPARATOR, network, precisions
from settings import Settings
from workload import PERIOD, recording, spread

from cplxsep.audio import io
from cplxsep.config import Config, to_toml
from cplxsep.model_folder.contents import CONFIG, WEIGHTS
from cplxsep.model_folder.publish import weights_bytes
from cplxsep.report import table


def write_recording(
    settings: Settings, minutes: float, rate: int, channels: int = 1, name: str = "long"
) -> Path:
    """WAV of 16 bits in the settings' folder, written by the minute."""
    path = settings.folder / f"{name}.wav"
    left = round(minutes * 60 * rate)
    once = recording(min(minutes * 60, PERIOD), rate, settings.speech)
    # The second channel is another mixture of the same: something to be averaged.
    sides = np.stack([once, np.roll(once, rate // 3)][:channels], axis=1)
    with soundfile.SoundFile(path, "w", rate, channels, "PCM_16") as file:
        while left > 0:
            file.write(sides[:left])
            left -= len(sides)
    return path


def startup(settings: Settings) -> dict[str, Any]:
    """Wall time of `separate` on 4 seconds above that of importing torch, in turns."""
    path = write_recording(settings, 4 / 60, RATE, name="short")
    out = settings.folder / "short"
    works = {
        "import torch": [sys.executable, "-c", "import torch"],
        "separate": command("separate", path, "-o", out, "--device", settings.device),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(1 + settings.repeats):
        for name, arguments in works.items():
            settings.say(f"start-up, {name}, {turn} of {settings.repeats}")
            seconds = measure(arguments).seconds
            if turn:  # the first fills the disk's cache
                times[name].append(seconds)
    above = [b - a for a, b in zip(*times.values(), strict=True)]
    return {**{name: spread(values) for name, values in times.items()}, "above": spread(above)}


def startup_table(found: dict[str, Any]) -> str:
    rows = [[name, row["median"], row["low"], row["high"]] for name, row in found.items()]
    return table(["4 s file", "seconds", "low", "high"], rows)


def length(settings: Settings) -> dict[str, Any]:
    """`separate` from disk to disk by length: wall time, rate, peak memory."""
    found: dict[str, Any] = {}
    for name in NETWORKS if settings.on_gpu else NETWORKS[:1]:
        # Many files show what a GPU does once it is started; a CPU is busy with one.
        loads = [(1, minutes) for minutes in settings.minutes]
        if settings.on_gpu:
            loads.append((4 if settings.quick else 16, settings.minutes[-1]))
        rows = found[name] = []
        with tempfile.TemporaryDirectory(dir=settings.folder) as model:
            known = _model_folder(name, Path(model))
            short = _separate(settings, known, 1, 4 / 60)["seconds"]
            for files, minutes in loads:
                settings.say(f"{name}, {files} x {minutes:g} minutes from disk to disk")
                row = _separate(settings, known, files, minutes)
                audio = files * minutes * 60
                row["rate"] = audio / row["seconds"]
                row["rate_once_started"] = audio / max(row["seconds"] - short, 1e-3)
                rows.append({"files": files, "minutes": minutes, **row})
    return found


def _separate(settings: Settings, model: str, files: int, minutes: float) -> dict[str, float]:
    paths = [write_recording(settings, minutes, RATE, name=f"in{n}") for n in range(files)]
    out = settings.folder / "out"
    done = measure(command("separate", *paths, "-m", model, "-o", out, "--device", settings.device))
    for path in [*paths, *out.iterdir()]:
        path.unlink()
    return {"seconds": done.seconds, "peak_mib": done.peak_mib}


def _model_folder(name: str, folder: Path) -> str:
    """What -m takes: a shipped name, or a folder made for the network."""
    if name == NETWORKS[0]:
        return name
    model = network(name)
    (folder / WEIGHTS).write_bytes(weights_bytes(model))
    (folder / CONFIG).write_text(to_toml(Config(model=model.config)), encoding="utf-8")
    return str(folder)


def length_table(found: dict[str, Any]) -> str:
    keys = ("files", "minutes", "seconds", "rate", "rate_once_started", "peak_mib")
    rows = [[name, *(row[key] for key in keys)] for name, loads in found.items() for row in loads]
    heads = ("files", "minutes", "seconds", "audio s/s", "once started", "peak RSS MiB")
    return table(["network", *heads], rows)


def quality(settings: Settings) -> dict[str, Any]:
    """Each precision against float32 on test mixtures: SI-SDR improvement, SNR of the outputs."""
    assert settings.speech is not None
    count = 6 if settings.quick else 60
    data = prepare_mixtures(settings.speech, settings.folder / "mixtures", count, seed=0)
    found: dict[str, Any] = {"mixtures": count}
    for precision in precisions(SEPARATOR, settings.device):
        settings.say(f"quality in {precision}")
        how = ("--device", settings.device, "--precision", precision)
        out = settings.folder / precision
        cplxsep("separate", data / "mix", "-o", out, *how)
        scores = json.loads(
            cplxsep(
                *("eval", "--ref", data, "--est", out, "--mix", data / "mix"),
                *("--metrics", "si-sdr", "--json"),
            )
        )
        found[precision] = {"si_sdr_i": scores["summary"]["si_sdr_i"]["mean"]}
        if precision != "fp32":
            exact = settings.folder / "fp32"
            ratios = [snr(path, out / path.relative_to(exact)) for path in sorted(exact.rglob("*"))]
            found[precision]["snr"] = spread(ratios)
            change = found[precision]["si_sdr_i"] - found["fp32"]["si_sdr_i"]
            found[precision]["si_sdr_i_change"] = change
    return found


def snr(reference: Path, estimate: Path) -> float:
    """dB of a file's difference from another's under the first."""
    a, b = (io.read(path)[0].astype(np.float64) for path in (reference, estimate))
    return float(10 * np.log10(np.sum(a**2) / max(np.sum((a - b) ** 2), 1e-30)))


def quality_table(found: dict[str, Any]) -> str:
    rows = []
    for precision, row in found.items():
        if isinstance(row, dict):
            ratio = row.get("snr", {})
            rows.append([precision, row["si_sdr_i"], row.get("si_sdr_i_change")])
            rows[-1] += [ratio.get("median"), ratio.get("low")]
    return table(
        ["precision", "SI-SDRi dB", "change dB", "SNR to fp32 dB (median)", "lowest"], rows
    )
