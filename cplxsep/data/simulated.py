"""Simulated rooms, by image sources, with pyroomacoustics (the `rooms` extra)."""

import importlib
import json
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cplxsep.data.rooms import from_direct
from cplxsep.errors import InputError, UsageError

_SIZE = ((3.5, 8.0), (3.5, 8.0), (2.4, 3.5))  # m
_RT60 = (0.2, 0.5)  # s
_WALL = 0.5  # m between a wall and a talker or microphone, at least
_DISTANCE = (0.5, 2.5)  # m between talker and microphone
_APART = 0.5  # m between talkers, at least
_GRID = float(1 << 20)


@dataclass(frozen=True)
class Shoebox:
    """A room of `size` (m) with its reverberation time (s), a talker and a microphone (m)."""

    size: tuple[float, ...]
    rt60: float
    talker: tuple[float, ...]
    microphone: tuple[float, ...]

    def to_text(self) -> str:
        """As one column of metadata.csv."""
        return json.dumps(asdict(self), separators=(",", ":"))


def parse_room(text: str) -> Shoebox:
    """A room from what `to_text` gave. InputError: it is something else."""
    try:
        values = json.loads(text)
        size, talker, microphone = (tuple(values[n]) for n in ("size", "talker", "microphone"))
        return Shoebox(size, float(values["rt60"]), talker, microphone)
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{text!r} does not tell a simulated room") from error


def draw_room(rng: np.random.Generator) -> Shoebox:
    """A living room or office, talker and microphone away from the walls and each other."""
    size = np.array([rng.uniform(*span) for span in _SIZE])
    rt60 = rng.uniform(*_RT60)
    while True:
        talker, microphone = rng.uniform(_WALL, size - _WALL, (2, 3))
        if _DISTANCE[0] <= np.linalg.norm(talker - microphone) <= _DISTANCE[1]:
            break
    return Shoebox(_rounded(size), round(float(rt60), 3), _rounded(talker), _rounded(microphone))


def draw_places(count: int, rng: np.random.Generator) -> list[Shoebox]:
    """One room, heard at one place, with `count` talkers at places of their own."""
    rooms = [draw_room(rng)]
    size, microphone = np.array(rooms[0].size), np.array(rooms[0].microphone)
    while len(rooms) < count:
        talker = rng.uniform(_WALL, size - _WALL)
        apart = [np.linalg.norm(talker - np.array(room.talker)) for room in rooms]
        near = _DISTANCE[0] <= np.linalg.norm(talker - microphone) <= _DISTANCE[1]
        if near and min(apart) >= _APART:
            rooms.append(replace(rooms[0], talker=_rounded(talker)))
    return rooms


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 3) for value in values)


def load_library() -> Any:
    """The module pyroomacoustics. UsageError: it is not installed."""
    try:
        library = importlib.import_module("pyroomacoustics")
    except ImportError:
        raise UsageError(
            "simulated rooms need pyroomacoustics: pip install 'cplxsep[rooms]'"
        ) from None
    # Sums of several threads differ in their last bits.
    library.constants.set("num_threads", 1)
    return library


def respond(room: Shoebox, sample_rate: int) -> np.ndarray:
    """The room's response (S,), float32, from the direct sound on as `rooms.load_rooms` gives it.

    UsageError: pyroomacoustics is not installed.
    """
    pyroomacoustics = load_library()
    absorption, order = pyroomacoustics.inverse_sabine(room.rt60, room.size)
    box = pyroomacoustics.ShoeBox(
        room.size,
        fs=sample_rate,
        materials=pyroomacoustics.Material(absorption),
        max_order=order,
    )
    box.add_source(room.talker)
    box.add_microphone(room.microphone)
    box.compute_rir()
    distance = float(np.linalg.norm(np.subtract(room.talker, room.microphone)))
    late = pyroomacoustics.constants.get("frac_delay_length") // 2
    direct = round(distance / box.c * sample_rate) + late
    response = from_direct(box.rir[0][0], direct, sample_rate)
    # The simulation's last bits vary from run to run.
    return (np.rint(response * _GRID) / _GRID).astype(np.float32)
