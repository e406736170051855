"""What engines are given to do, and how their times are taken."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from settings import Settings

from cplxsep.audio import io
from cplxsep.audio.level import active_rms
from cplxsep.audio.resample import fit, resample
from cplxsep.data.manifest import by_speaker, load_speech
from cplxsep.data.plan import generator

PERIOD = 60.0  # seconds after which longer recordings repeat


def recording(seconds: float, rate: int, speech: Path | None, seed: int = 0) -> np.ndarray:
    """Two talkers of the test split, (S,) float32; noise in syllables without `speech`."""
    period = round(min(seconds, PERIOD) * rate)
    rng = generator(seed)
    voices = [_babble(period, rate, rng) for _ in range(2)] if speech is None else []
    if speech is not None:
        talkers = by_speaker(item for item in load_speech(speech) if item.split in ("test", ""))
        for name in rng.choice(sorted(talkers), 2, replace=False):
            parts, count = [], 0
            while count < period:
                item = talkers[name][rng.integers(len(talkers[name]))]
                parts.append(resample(io.read(item.path)[0].mean(axis=0), item.sample_rate, rate))
                count += parts[-1].size
            voices.append(np.concatenate(parts)[:period])
    mixture = sum(0.05 / active_rms(voice, rate) * voice for voice in voices)
    samples = round(seconds * rate)
    return fit(np.tile(mixture, -(-samples // period)).astype(np.float32), samples)


def _babble(samples: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    step = rate // 5
    loudness = np.maximum(rng.uniform(-0.3, 0.7, samples // step + 2), 0)
    envelope = np.interp(np.arange(samples) / step, np.arange(len(loudness)), loudness)
    return envelope * rng.standard_normal(samples)


def interleave(
    works: Mapping[str, Callable[[np.ndarray], object]],
    audio: np.ndarray,
    settings: Settings,
    title: str,
) -> dict[str, list[float]]:
    """Seconds that each work takes for the audio, in turns: a machine's speed drifts."""
    for name, work in works.items():
        settings.say(f"{title} {name}, warming up")
        settings.warm_up(partial(work, audio))
    times: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(settings.repeats):
        for name, work in works.items():
            settings.say(f"{title} {name}, {turn + 1} of {settings.repeats}")
            begun = time.perf_counter()
            work(audio)
            times[name].append(time.perf_counter() - begun)
    return times


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, lowest and highest of a few values."""
    return {
        "median": statistics.median(values),
        "low": min(values),
        "high": max(values),
        "n": len(values),
    }
