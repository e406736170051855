"""`prepare rooms`: a folder of simulated rooms, made once, to train in and to prepare from."""

import csv
import io as streams
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.audio.atomic import TEMPORARY, write_text
from cplxsep.data.plan import generator
from cplxsep.data.simulated import Shoebox, draw_places, load_library, respond
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers, default_workers, in_threads

TABLE = "rooms.csv"
Watch = Callable[[Iterator[Path], int], Iterable[Path]]


def prepare_rooms(
    out: Path,
    *,
    count: int,
    places: int = 2,
    sample_rate: int = 16000,
    seed: int = 0,
    workers: Workers | None = None,
    shard: Shard = WHOLE,
    watch: Watch = lambda results, _total: results,
) -> Path | None:
    """Write `count` rooms as OUT/NAME.wav, a channel a place, and OUT/rooms.csv.

    Returns that table, or None while rooms of other shards are missing.
    Room i depends on the seed and i alone; files that are there already are kept.
    InputError: OUT holds rooms of other settings, or cannot be written. UsageError:
    pyroomacoustics is not installed.
    """
    load_library()
    rooms = [draw_places(places, generator(seed, index)) for index in range(count)]
    names = [f"room{index + 1:0{len(str(count))}d}.wav" for index in range(count)]
    table = _table(names, rooms, sample_rate)
    try:
        out.mkdir(parents=True, exist_ok=True)
        known = out / TABLE
        if known.exists() and known.read_text(encoding="utf-8") != table:
            raise InputError(f"{out} holds rooms of other settings: choose another folder")
        others = any(not item.match(TEMPORARY) for item in out.iterdir())
        # Another shard may have begun meanwhile; the table is what it writes first.
        if others and not known.exists():
            raise InputError(f"{out} already holds other files: choose another folder")
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}") from error
    # First of all: a folder without it is taken for another's.
    write_text(known, table)

    def make(index: int) -> Path:
        file = out / names[index]
        if not file.exists():
            responses = [respond(room, sample_rate) for room in rooms[index]]
            length = max(map(len, responses))
            channels = [np.pad(own, (0, length - len(own))) for own in responses]
            io.write(file, np.stack(channels), sample_rate)
        return file

    def lost(index: int, error: InputError) -> Path:
        raise InputError(f"{out / names[index]}: {error}")

    own = shard.take(range(count))
    for _ in watch(in_threads(make, own, workers or default_workers(), lost), len(own)):
        pass
    return known if all((out / name).exists() for name in names) else None


def _table(names: list[str], rooms: list[list[Shoebox]], sample_rate: int) -> str:
    text = streams.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "sample_rate", "size", "rt60", "microphone", "talkers"])
    for name, places in zip(names, rooms, strict=True):
        one = asdict(places[0])
        values = [one["size"], one["rt60"], one["microphone"], [room.talker for room in places]]
        writer.writerow([name, sample_rate, *map(json.dumps, values)])
    return text.getvalue()
