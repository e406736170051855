"""The rooms that a recipe draws from: measured responses, or simulated ones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.data.manifest import probed
from cplxsep.data.recipes.preparation import Report
from cplxsep.data.rooms import check_places, different_places, read_channels
from cplxsep.data.simulated import draw_places, draw_room, load_library, parse_room, respond
from cplxsep.errors import InputError

SIMULATED = "simulated"


@dataclass(frozen=True)
class Rooms:
    """Where room responses come from: simulated, or files under `root` with channels that sound."""

    root: Path | None
    files: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def identity(self) -> list[list[str | int]]:
        """What tells them from others in preparation.json: files, and how many places in each."""
        return [[name, len(channels)] for name, channels in self.files]

    def without(self, bad: set[str]) -> "Rooms":
        """Those whose file is not bad. InputError: none is left."""
        if self.root is None:
            return self
        files = tuple(item for item in self.files if str(self.root / item[0]) not in bad)
        if not files:
            raise InputError(f"no room response in {self.root} can be used")
        return Rooms(self.root, files)

    def draw(self, rng: np.random.Generator) -> str:
        """A room as metadata.csv tells it: a simulated one, or FILE#CHANNEL."""
        if self.root is None:
            return draw_room(rng).to_text()
        name, channels = self.files[int(rng.integers(len(self.files)))]
        return f"{name}#{channels[int(rng.integers(len(channels)))]}"

    def draw_places(self, count: int, rng: np.random.Generator) -> list[str]:
        """Different places, in one room where it has enough of them, as `draw` gives one.

        InputError: there are not so many.
        """
        if self.root is None:
            return [room.to_text() for room in draw_places(count, rng)]
        rooms = [[f"{name}#{at}" for at in channels] for name, channels in self.files]
        check_places(rooms, count, self.root)
        return different_places(rooms, count, rng)


def find_rooms(rooms: str | None, report: Report) -> tuple[Rooms | None, list[str]]:
    """Those of a folder, or simulated ones; and what was left out, which is told to `report`.

    InputError: no folder, or nothing in it.
    """
    if rooms is None:
        return None, []
    if rooms == SIMULATED:
        load_library()
        return Rooms(None, ()), []
    root = Path(rooms)
    if not root.is_dir():
        raise InputError(f"{rooms} is no folder of room responses, nor the word {SIMULATED}")
    root, left_out = root.resolve(), list[str]()
    found = []
    for path, info in probed(root, lambda error: left_out.append(str(error))):
        try:
            found.append((path.relative_to(root).as_posix(), _sounding(path, info.channels)))
        except InputError as error:
            left_out.append(str(error))
    if not found:
        raise InputError(f"{rooms} holds no audio")
    for reason in left_out:
        report(reason)
    return Rooms(root, tuple(found)), left_out


def _sounding(path: Path, channels: int) -> tuple[int, ...]:
    """Which of a file's channels hold a response. InputError: none, or it cannot be read."""
    if channels == 1:
        return (0,)  # There may be many such files, and whether it sounds is seen when it is used.
    sounding = tuple(int(at) for at in np.flatnonzero(io.read(path)[0].any(axis=1)))
    if not sounding:
        raise InputError(f"{path} is silent")
    return sounding


def read_response(room: str, folder: Path | None, sample_rate: int) -> np.ndarray:
    """The response (S,) of a room as metadata.csv tells it.

    InputError: it cannot be read, is silent, or the file has no such channel.
    """
    if room.startswith("{"):
        return respond(parse_room(room), sample_rate)
    path = room_file(room, folder)
    responses, at = read_channels(path, sample_rate), int(room.rpartition("#")[2])
    if at >= len(responses):
        raise InputError(f"{path} has {len(responses)} channels: there is no room {room}")
    if (response := responses[at]) is None:
        raise InputError(f"{path} is silent")
    return response


def room_file(room: str, folder: Path | None) -> Path:
    """Where a measured response lies. InputError: the folder is not known."""
    if folder is None:
        raise InputError(f"room {room}: its folder is not known")
    return folder / room.rpartition("#")[0]
