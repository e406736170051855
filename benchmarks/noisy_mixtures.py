"""Noisy speech of a split, the same for every method, and its scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.audio.resample import resample
from cplxsep.data.dynamic_noisy import own_snr
from cplxsep.data.manifest import Utterance, load_speech
from cplxsep.data.mixing import mix
from cplxsep.data.noise import active_parts, load_noise, stretch
from cplxsep.data.plan import generator
from cplxsep.metrics.perceptual import UndefinedError, pesq, stoi
from cplxsep.metrics.sisdr import si_sdr

RATE = 16000
OWN_SNR = 30.0  # dB by which an utterance must stand above its own background
SECONDS = (2.0, 10.0)  # shorter utterances are left out, longer ones cut
FADE = RATE // 20
METRICS = ("si_sdr", "pesq", "stoi")


@dataclass(frozen=True)
class Pair:
    """Speech (S,) and as long a noise (S,), not yet at any ratio."""

    speech: np.ndarray
    noise: np.ndarray

    def at(self, snr: float) -> tuple[np.ndarray, np.ndarray]:
        """Mixture and its speech; the ratio is of the active parts."""
        mixed = mix([self.speech, self.noise], snr_db=[0.0, snr], sample_rate=RATE, level="active")
        return mixed.mixture, mixed.sources[0]


def draw_pairs(speech: Path, noise: Path, split: str, count: int, seed: int) -> list[Pair]:
    """Pairs of speakers and recordings of noise that are all alike likely."""
    talkers: dict[str, list[Utterance]] = {}
    for item in load_speech(speech):
        if item.split == split:
            talkers.setdefault(item.talker, []).append(item)
    noises = [item for item in load_noise(noise) if item.split == split]
    if not talkers or not noises:
        raise SystemExit(f"{speech} or {noise} has no split {split}")
    return [_pair(talkers, noises, generator(seed, index)) for index in range(count)]


def _pair(
    talkers: dict[str, list[Utterance]], noises: list[Utterance], rng: np.random.Generator
) -> Pair:
    speech = next(_clean(talkers, rng))[: round(SECONDS[1] * RATE)]
    sounding = np.zeros(0, np.float32)
    while sounding.size < RATE:
        sounding = active_parts(_audio(noises[rng.integers(len(noises))]), RATE)
    start = rng.integers(max(sounding.size - speech.size, 0) + 1)
    piece = stretch(sounding[start : start + speech.size], speech.size, FADE)
    return Pair(speech, piece[: speech.size])


def _clean(talkers: dict[str, list[Utterance]], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Utterances clean enough to be a reference."""
    while True:
        own = talkers[sorted(talkers)[rng.integers(len(talkers))]]
        item = own[rng.integers(len(own))]
        if item.seconds >= SECONDS[0] and own_snr(audio := _audio(item), RATE) >= OWN_SNR:
            yield audio


def _audio(item: Utterance) -> np.ndarray:
    return resample(io.read(item.path)[0].mean(axis=0), item.sample_rate, RATE)


def score(work: tuple[np.ndarray, Sequence[np.ndarray]]) -> list[dict[str, float | None]]:
    """Scores of some estimates (S,) against one reference (S,); None where one has no value."""
    reference, estimates = work
    return [
        {
            "si_sdr": _finite(float(si_sdr(reference, estimate))),
            "pesq": _or_none(pesq, reference, estimate),
            "stoi": _or_none(stoi, reference, estimate),
        }
        for estimate in estimates
    ]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _or_none(metric, reference: np.ndarray, estimate: np.ndarray) -> float | None:
    try:
        return metric(reference, estimate, RATE)
    except UndefinedError:
        return None
