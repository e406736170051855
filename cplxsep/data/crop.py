"""Pieces of cached recordings, cut where something is heard."""

import numpy as np

from cplxsep.audio.level import from_db, rms
from cplxsep.audio.resample import change_speed
from cplxsep.data.cache import SpeechCache

_TRIES = 4
# A crop this far under its recording's level is mostly silence.
_QUIET_DB = -20.0


def crop(
    cache: SpeechCache, index: int, samples: int, speed: float, rng: np.random.Generator
) -> np.ndarray:
    """At most `samples` of recording `index`, float32 (S,), played `speed` times as fast."""
    audio = cache.audio(index)
    wanted = int(np.ceil(samples * speed))
    if len(audio) > wanted:
        audio = _pick(audio, wanted, cache.levels[index], rng)
    piece = audio.astype(np.float32) / np.float32(32768)
    if speed != 1.0:
        piece = change_speed(piece, speed)
    return piece[:samples]


def _pick(audio: np.ndarray, wanted: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """A crop that is not mostly silence; the surroundings of the peak where none is found."""
    starts = rng.integers(0, len(audio) - wanted + 1, size=_TRIES)
    for start in starts:
        piece = audio[start : start + wanted]
        if rms(piece) >= level * from_db(_QUIET_DB):
            return piece
    peak = int(np.argmax(np.abs(audio.astype(np.int32))))
    start = min(max(0, peak - wanted // 2), len(audio) - wanted)
    return audio[start : start + wanted]
