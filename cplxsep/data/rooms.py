"""Room responses: reverberant speech, and the direct and early part of it as the reference."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy

from cplxsep.audio import io
from cplxsep.audio.resample import resample
from cplxsep.data.manifest import probed
from cplxsep.errors import InputError

Place = TypeVar("Place")
EARLY_SECONDS = 0.05
_BEFORE_SECONDS = 0.002  # what a direct sound's own rise may take


def load_rooms(
    folder: Path, sample_rate: int, report: Callable[[InputError], None] | None = None
) -> list[list[np.ndarray]]:
    """Rooms of a folder: of each file, the responses (S,) of its channels at `sample_rate`.

    Direct sound first, peak 1. What cannot be read is told to `report`. InputError: no folder, or
    no audio in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of room responses")
    rooms = [read_rooms(path, sample_rate) for path, _ in probed(folder, report)]
    rooms = [places for places in rooms if places]
    if not rooms:
        raise InputError(f"{folder} holds no room response")
    return rooms


def read_rooms(path: Path, sample_rate: int) -> list[np.ndarray]:
    """Responses of a file's channels, as `load_rooms`; silent ones are left out."""
    return [room for room in read_channels(path, sample_rate) if room is not None]


def read_channels(path: Path, sample_rate: int) -> list[np.ndarray | None]:
    """The response of each of a file's channels, as `load_rooms`; None for a silent one."""
    audio, rate = io.read(path)
    rooms: list[np.ndarray | None] = []
    for channel in resample(audio, rate, sample_rate):
        start = int(np.argmax(np.abs(channel)))
        rooms.append(from_direct(channel, start, sample_rate) if channel[start] else None)
    return rooms


def check_places(rooms: Sequence[Sequence[Place]], count: int, source: object) -> None:
    """InputError: what `source` has is less than a place for each of `count` talkers."""
    if sum(map(len, rooms)) < count:
        raise InputError(f"{source} has no {count} different responses, one for each talker")


def different_places(
    rooms: Sequence[Sequence[Place]], count: int, rng: np.random.Generator
) -> list[Place]:
    """Places for `count` talkers: in one room where it has enough of them, else in all."""
    places = rooms[int(rng.integers(len(rooms)))]
    if len(places) < count:
        places = [place for room in rooms for place in room]
    return [places[at] for at in rng.choice(len(places), count, replace=False)]


def from_direct(response: np.ndarray, start: int, sample_rate: int) -> np.ndarray:
    """A response (S,) from its direct sound, at sample `start`, on; that sound's peak is 1 or -1.

    So begun it delays nothing: speech in the room and its early part align.
    """
    begin = max(start - round(_BEFORE_SECONDS * sample_rate), 0)
    return (response[begin:] / np.abs(response[start])).astype(np.float32)


def reverberate(
    speech: np.ndarray, room: np.ndarray, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Speech (S,) in a room, and its direct and early part (50 ms), both float32 (S,)."""
    early = room[: early_samples(sample_rate)]
    wet = scipy.signal.fftconvolve(speech, room)[: len(speech)]
    near = scipy.signal.fftconvolve(speech, early)[: len(speech)]
    return wet.astype(np.float32), near.astype(np.float32)


def early_samples(sample_rate: int) -> int:
    """Of a response, up to the end of its early part."""
    return round((_BEFORE_SECONDS + EARLY_SECONDS) * sample_rate)


def direct_of(room: np.ndarray, sample_rate: int) -> tuple[int, float]:
    """Where in a response the direct sound is, in samples, and its amplitude."""
    # Not later: reflections that coincide can be louder than the direct sound.
    lag = int(np.argmax(np.abs(room[: round(_BEFORE_SECONDS * sample_rate) + 1])))
    return lag, float(room[lag])


def direct(speech: np.ndarray, room: np.ndarray, sample_rate: int) -> np.ndarray:
    """Speech (S,) as the direct sound alone brings it: in time with `reverberate`, float32."""
    lag, amplitude = direct_of(room, sample_rate)
    delayed = np.zeros(len(speech), np.float32)
    delayed[lag:] = speech[: len(speech) - lag] * np.float32(amplitude)
    return delayed
