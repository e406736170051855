"""Pieces of cached recordings, cut where something is heard."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.audio.resample import change_speed
from cplxsep.data.cache import SpeechCache

_TRIES = 4
# A crop this far under its recording's level is mostly silence.
_QUIET_DB = -20.0


class Loudness(Protocol):
    """How long and how loud recordings are, by number."""

    def length(self, index: int) -> int:
        """Of recording `index`, in samples."""

    def level(self, index: int, start: int = 0, samples: int | None = None) -> float:
        """RMS of so many samples of a recording from `start` on, or of all."""

    def peak(self, index: int) -> int:
        """The sample where a recording is loudest."""


@dataclass(frozen=True)
class Crop:
    """`samples` of recording `index` from `start` on, `speed` times as fast: `played` samples."""

    index: int
    start: int
    samples: int
    speed: float
    played: int


def draw_crop(
    sound: Loudness, index: int, samples: int, speed: float, rng: np.random.Generator
) -> Crop:
    """At most `samples` of recording `index`, played `speed` times as fast."""
    wanted, length, start = int(np.ceil(samples * speed)), sound.length(index), 0
    if length > wanted:
        start, length = _pick(sound, index, wanted, rng), wanted
    return Crop(index, start, length, speed, min(round(length / speed), samples))


def read_crop(cache: SpeechCache, crop: Crop) -> np.ndarray:
    """A crop's audio, float32 (played,)."""
    audio = cache.audio(crop.index)[crop.start : crop.start + crop.samples]
    piece = audio.astype(np.float32) / np.float32(32768)
    if crop.speed != 1.0:
        piece = change_speed(piece, crop.speed)
    return piece[: crop.played]


def _pick(sound: Loudness, index: int, wanted: int, rng: np.random.Generator) -> int:
    """Where a crop is not mostly silence; around the peak where no such place is found."""
    length = sound.length(index)
    least = sound.level(index) * from_db(_QUIET_DB)
    for start in rng.integers(0, length - wanted + 1, size=_TRIES).tolist():
        if sound.level(index, start, wanted) >= least:
            return start
    return min(max(0, sound.peak(index) - wanted // 2), length - wanted)
