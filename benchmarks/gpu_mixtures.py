"""Training mixtures made on a device: seconds of audio a second, by recipe and rate.

    python benchmarks/gpu_mixtures.py mixtures [--device cuda] [--workers 4] [--quick]

A line of JSON for each. `drawn`: as numbers, by one process. `alone`: the device makes one group of
batches, drawn before, again and again. `in all`: batches as training gets them, drawn ahead by the
workers. Speech, noise and rooms are made up; examples of 4 s in batches of 24.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gpu_speed
import numpy as np
import soundfile

from cplxsep.config import Config, parse_config
from cplxsep.parallel import default_workers

if TYPE_CHECKING:  # processes that draw mixtures load this file too, and need no torch
    import torch

    from cplxsep.data.on_device.recipe import OnDevice

BATCH, SECONDS = 24, 4.0
RECIPES = ("conversations", "noisy speech", "talkers")
RATES = (8000, 16000)


def mixtures(options: argparse.Namespace) -> None:
    """Print a line for each recipe and rate."""
    import torch

    from cplxsep.data.on_device.choose import on_device
    from cplxsep.training.examples import load_examples

    device = torch.device(options.device)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options.folder = folder / "speech"
        gpu_speed.speech(options)
        _noise_and_rooms(folder)
        works = [(rate, recipe) for rate in RATES for recipe in RECIPES]
        for rate, recipe in works[:1] if options.quick else works:
            config = _config(recipe, rate, folder, options.quick)
            (examples,), _ = load_examples(config, folder, lambda _: None)
            there = on_device(examples, device)
            row = {"recipe": recipe, "Hz": rate, "workers": options.workers}
            gpu_speed.say(row | _rates(there, device, config, options))


def _noise_and_rooms(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for kind, seconds in (("noise", 20.0), ("rooms", 0.5)):
        (folder / kind).mkdir()
        for number in range(8):
            sound = 0.1 * rng.standard_normal((round(seconds * 16000), 1 + (kind == "rooms")))
            if kind == "rooms":
                sound *= np.exp(-np.arange(len(sound)) / 1600)[:, None]
                sound[0] = 1.0
            soundfile.write(folder / kind / f"{number}.wav", sound, 16000)


def _config(recipe: str, rate: int, folder: Path, quick: bool) -> Config:
    talkers = 1 if recipe == "noisy speech" else 2
    sections: dict[str, Any] = {
        "model": {"sources": talkers, "sample_rate": rate, "window": rate // 31 // 8 * 8},
        "data": {
            "speech": str(folder / "speech" / "speech.csv"),
            "seconds": 0.5 if quick else SECONDS,
            "speed": [0.88, 1.14],
        },
        "train": {"loss": "floored-snr"},
    }
    if recipe != "talkers":
        sections["noise"] = {
            "recordings": str(folder / "noise"),
            "rooms": str(folder / "rooms"),
            "own_snr": 0.0,
        }
    if recipe == "conversations":
        sections["conversation"] = {"share": 1.0}
    return parse_config(sections, recipe)


def _rates(
    there: "OnDevice", device: "torch.device", config: Config, options: argparse.Namespace
) -> dict[str, float]:
    from cplxsep.training.batches import batches

    batch = 2 if options.quick else BATCH
    group = there.at_once(batch)
    examples = range(group * batch)
    drawn = there.drawing.draw(examples)
    seconds = batch * config.data.seconds
    plans = _often(lambda: there.drawing.draw(examples), device, options.quick)
    made = _often(lambda: there.make(drawn), device, options.quick)
    with closing(batches([there], 0, batch, workers=options.workers)) as stream:
        for _ in range(2 * group):
            next(stream)
        given = _often(lambda: next(stream), device, options.quick)
    return {
        "drawn, s/s": group * seconds * plans,
        "alone, s/s": group * seconds * made,
        "in all, s/s": seconds * given,
    }


def _often(work: Callable[[], object], device: "torch.device", quick: bool) -> float:
    """How often a second a work is done, over some three seconds."""
    import torch

    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < (0.2 if quick else 3.0):
        work()
        count += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return count / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["mixtures"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--workers", type=int, default=min(default_workers(), 4))
    parser.add_argument("--quick", action="store_true")
    mixtures(parser.parse_args())


if __name__ == "__main__":
    main()
