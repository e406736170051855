"""Decoded noise without its digital silence; long recordings are used often and decoded once."""

from collections import OrderedDict
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from cplxsep.data.noise import active_parts, stretch
from cplxsep.data.recordings import SHORTEST_SECONDS, usable
from cplxsep.errors import InputError

_FADE_SECONDS = 0.05
_LARGEST = 1 << 28  # bytes kept


class NoiseBank:
    """The noises used last, at one rate."""

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._kept: OrderedDict[Path, np.ndarray] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process, that of the same rate which is there."""
        return _of_process, (self.sample_rate,)

    def sounding(self, path: Path) -> np.ndarray:
        """The recording (S,) float32, its digital silence taken out.

        InputError as `usable`, and where too little is left.
        """
        with self._lock:
            if path in self._kept:
                self._kept.move_to_end(path)
                return self._kept[path]
        audio = active_parts(usable(path, self.sample_rate), self.sample_rate)
        if len(audio) < SHORTEST_SECONDS * self.sample_rate:
            raise InputError(f"{path} has less than {SHORTEST_SECONDS} s of sound")
        with self._lock:
            if path not in self._kept:
                self._kept[path] = audio
                self._size += audio.nbytes
            while self._size > _LARGEST:
                self._size -= self._kept.popitem(last=False)[1].nbytes
        return audio


@cache
def _of_process(sample_rate: int) -> NoiseBank:
    return NoiseBank(sample_rate)


def offset_of(sounding: np.ndarray, samples: int, place: float) -> int:
    """Where in a noise a piece begins: anywhere in a long one, anywhere in the loop of a short."""
    spare = len(sounding) - samples
    return int(place * (spare + 1 if spare >= 0 else len(sounding)))


def cut(sounding: np.ndarray, offset: int, samples: int, sample_rate: int) -> np.ndarray:
    """`samples` of a noise from `offset` on, repeated with cross-faded joints where too short."""
    fade = round(_FADE_SECONDS * sample_rate)
    return stretch(sounding, offset + samples, fade)[offset : offset + samples]
