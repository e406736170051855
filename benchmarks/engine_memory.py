"""Peak memory, each work in a process of its own."""

import sys
from pathlib import Path
from typing import Any

from commands import command, measure
from engine_files import write_recording
from forms import NETWORKS, peers, precisions
from settings import Settings

from cplxsep.report import table

FORMS = Path(__file__).with_name("forms.py")


def of_form(
    settings: Settings, name: str, form: str, seconds: float, batch: str = "auto"
) -> dict[str, float]:
    """Peak of a process that runs one form once: resident, and on the GPU."""
    settings.say(f"memory of {name} {form}, batch {batch}")
    speech = ("--speech", str(settings.speech)) if settings.speech else ()
    place = ("--device", settings.device, "--batch", batch)
    done = measure(
        [sys.executable, str(FORMS), name, form, "--seconds", str(seconds), *place, *speech]
    )
    return {"peak_mib": done.peak_mib, "gpu_mib": float(done.output.split()[-1])}


def memory(settings: Settings) -> dict[str, Any]:
    """Every form on the same audio, and stereo at 44.1 kHz of two lengths from disk to disk."""
    bare = measure([sys.executable, "-c", "import torch"]).peak_mib
    seconds = 8.0 if settings.quick else 32.0
    forms = {}
    for name in NETWORKS:
        for form in [*precisions(name, settings.device), *peers(name, settings.device)]:
            forms[f"{name} {form}"] = of_form(settings, name, form, seconds)
    stereo = {}
    for minutes in settings.minutes[-2:]:
        path = write_recording(settings, minutes, 44100, channels=2)
        out = settings.folder / "stereo"
        settings.say(f"memory of {minutes:g} minutes of stereo at 44.1 kHz")
        done = measure(command("separate", path, "-o", out, "--device", settings.device))
        stereo[f"{minutes:g}"] = {"seconds": done.seconds, "peak_mib": done.peak_mib}
        for file in [path, *out.iterdir()]:
            file.unlink()
    short, long = (part["peak_mib"] for part in stereo.values())
    return {
        "import_torch_mib": bare,
        "seconds_of_audio": seconds,
        "forms": forms,
        "stereo_44100_minutes": stereo,
        "longer_over_shorter": long / short,
    }


def memory_table(found: dict[str, Any]) -> str:
    rows = [["import torch", "", found["import_torch_mib"], 0.0]]
    length = f"{found['seconds_of_audio']:g} s"
    for name, row in found["forms"].items():
        rows.append([name, length, row["peak_mib"], row["gpu_mib"]])
    for minutes, row in found["stereo_44100_minutes"].items():
        rows.append(["separate, stereo 44.1 kHz", f"{minutes} min", row["peak_mib"], None])
    rows.append(["  longer over shorter", "", found["longer_over_shorter"], None])
    return table(["work", "audio", "peak RSS MiB", "GPU MiB"], rows)
