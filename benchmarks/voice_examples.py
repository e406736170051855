"""Pairs of what is known of a talker and what is heard of one, of many talkers at once.

All of one kind, so that nothing but their voices tells them apart; in most batches under the same
conditions too, as in one recording: a microphone's or a room's colour, reverberation, noise.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from voice_material import Material

from cplxsep.networks.bands import HIGHEST, bands_within, edges, mels

KNOWN, HEARD, LEAST = 120, 60, 8  # frames: the most of each, and the least
TALKERS = 128
SHARES = {"speechocean": 0.5, "librispeech": 0.3, "commonvoice": 0.2}  # of the corpora
RATES = (8000, 16000)
OTHER = 0.7  # share of pairs from two recordings, where a talker has as many
SAME_CONDITIONS = 0.6
REVERBERANT, NOISY, COLOURED, LEAKING = 0.35, 0.5, 0.8, 0.5
FADES, WET = (1.0, 8.0), (-25.0, -5.0)  # frames, dB
NOISE_SNR, LEAK, AROUND = (12.0, 40.0), (10.0, 35.0), 3.0  # dB
COLOUR = (5.0, 4.0, 3.0, 2.0, 1.5)  # dB, of cosines over the bands, slowest first


class Side(NamedTuple):
    """Powers (K, T, BANDS) of so many talkers, and which frames are of them (K, T)."""

    powers: Tensor
    own: Tensor


class Pairs(NamedTuple):
    """Talker i is known by row i and heard by row i; only the first `bands` bands are there."""

    known: Side
    heard: Side
    bands: int


def draw(
    speech: Material, noise: np.ndarray, rng: np.random.Generator, kind: str | None = None
) -> Pairs:
    """Pairs of one kind, else of any; noise: bands (F, BANDS) of recordings, in dB."""
    if kind is None:
        kinds = list(speech.of_kind)
        odds = np.array([SHARES[name.split()[0]] for name in kinds])
        kind = kinds[rng.choice(len(kinds), p=odds / odds.sum())]
    everyone = speech.of_kind[kind]
    chosen = rng.choice(len(everyone), min(TALKERS, len(everyone)), replace=False)
    found = [_of_talker(speech, speech.of_talker[everyone[index]], rng) for index in chosen]
    sides = [
        (np.stack([bands for bands, _ in side]), np.stack([own for _, own in side]))
        for side in zip(*found, strict=True)
    ]
    one = Conditions(1, noise, rng) if rng.random() < SAME_CONDITIONS else None
    known, heard = (
        Side(
            torch.from_numpy((one or Conditions(len(chosen), noise, rng))(bands)),
            torch.from_numpy(own),
        )
        for bands, own in sides
    )
    return Pairs(known, heard, bands_within(RATES[rng.integers(len(RATES))]))


Part = tuple[np.ndarray, np.ndarray]


def _of_talker(
    speech: Material, recordings: list[int], rng: np.random.Generator
) -> tuple[Part, Part]:
    """Bands (T, BANDS) and own frames (T,) of two recordings, or of two parts of one."""
    if len(recordings) > 1 and rng.random() < OTHER:
        first, second = rng.choice(recordings, 2, replace=False)
        parts = [(first, 0.0, 1.0), (second, 0.0, 1.0)]
    else:
        one, cut = recordings[rng.integers(len(recordings))], rng.uniform(0.35, 0.65)
        parts = [(one, 0.0, cut), (one, cut, 1.0)]
        if rng.random() < 0.5:
            parts.reverse()
    known, heard = (
        _part(speech, *part, most, rng) for part, most in zip(parts, (KNOWN, HEARD), strict=True)
    )
    return known, heard


def _part(
    speech: Material, recording: int, begin: float, end: float, most: int, rng: np.random.Generator
) -> Part:
    """`most` frames of a part of a recording, of which a random number of spoken ones count."""
    frames = int(speech.frames[recording])
    first, last = int(begin * frames), int(end * frames)
    start = first + int(rng.integers(max(last - first - 2 * most, 0) + 2))
    at = start + 2 * np.arange(most)
    inside = at < last
    at = speech.firsts[recording] + np.minimum(at, last - 1)
    own = speech.speech[at] & inside
    wanted = round(np.exp(rng.uniform(np.log(LEAST), np.log(most))))
    return speech.bands[at].astype(np.float32), own & (np.cumsum(own) <= wanted)


class Conditions:
    """Reverberation, noise and colour: one for all rows, or one for each of so many."""

    def __init__(self, count: int, noise: np.ndarray, rng: np.random.Generator) -> None:
        self._rng, self._noise = rng, noise
        self._fading = np.exp(-1 / rng.uniform(*FADES, count))[:, None]
        self._wet = ((rng.random(count) < REVERBERANT) * power(rng.uniform(*WET, count)))[:, None]
        self._noisy, self._snr = rng.random(count) < NOISY, rng.uniform(*NOISE_SNR, count)
        self._start = rng.random(count)
        height = mels(edges()[:, 1]) / mels(np.array(HIGHEST))  # 0 to 1
        slowness = np.outer(1 + np.arange(len(COLOUR)), height)
        colour = (rng.normal(size=(count, len(COLOUR))) * COLOUR) @ np.cos(np.pi * slowness)
        self._colour = power((rng.random(count) < COLOURED)[:, None] * colour)[:, None]

    def __call__(self, bands: np.ndarray) -> np.ndarray:
        """Powers (K, T, BANDS) of bands (K, T, BANDS) in dB, the loud ones near 1."""
        rows, frames, _ = bands.shape
        rng = self._rng
        powers = power(bands - np.quantile(bands.max(2), 0.9, axis=1)[:, None, None])
        leak = (rng.random(rows) < LEAKING) * power(-rng.uniform(*LEAK, rows))
        powers = powers + leak[:, None, None] * np.roll(powers, 1, axis=0)
        tail = np.zeros_like(powers[:, 0])
        for frame in range(frames):
            dry = powers[:, frame].copy()
            powers[:, frame] += self._wet * tail
            tail = self._fading * tail + dry
        at = (self._start * (len(self._noise) - 2 * frames)).astype(int)
        hiss = power(self._noise[at[:, None] + 2 * np.arange(frames)].astype(np.float32))
        level = self._noisy * power(-self._snr) / (hiss.mean(axis=(1, 2)) + 1e-9)
        around = power(rng.uniform(-AROUND, AROUND, rows))[:, None, None]
        powers += around * level[:, None, None] * hiss
        return (powers * self._colour).astype(np.float32)


def power(levels: np.ndarray) -> np.ndarray:
    """Powers of levels in dB."""
    return 10.0 ** (levels / 10)
