"""Speech and noise in parcels that travel to a machine without a network.

    python benchmarks/parcels.py pack DATA OUT [--splits valid,train,extra] [--rate 16000]
        [--kbits 20] [--most 24] [--jobs N]
    python benchmarks/parcels.py unpack OUT/*.parcel -o FOLDER [--jobs N]

DATA holds the manifests speech.csv and, if there is noise, noise.csv. OUT/00.parcel and so on, of
at most --most megabytes each, are plain tar files of Ogg Opus recordings of some minutes and an
index that says who speaks in them from where to where. Each can be used without the others: the
first ones hold what is used to validate, then noise, then the talkers of all corpora mixed.
Unpacked they are WAV files and the two manifests, as `cplxsep train` reads them. 13 hours take 15
minutes to pack on two cores, and some 120 MB at 20 kbit/s; to unpack, 15 seconds on 16 cores.
"""

import argparse
import csv
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from cplxsep.audio import io as audio_io
from cplxsep.audio.resample import resample
from cplxsep.data.manifest import COLUMNS, Utterance, load_speech
from cplxsep.data.noise import load_noise
from cplxsep.data.plan import generator
from cplxsep.errors import InputError
from cplxsep.parallel import default_workers

INDEX = "index.json"
TABLES = ("speech", "noise")
SECONDS = 240.0  # of a recording in a parcel: many, for many cores to decode at once
BLOCK = 1 << 16  # samples written at once: libsndfile's encoder fails at many more
RATES = (8000, 12000, 16000, 24000, 48000)  # in Hz, of Opus
# libsndfile makes bits a second for each channel of a level between these, at 1 and at 0.
FEWEST, MOST = 6_000, 256_000
OVERHEAD = 2048  # bytes of a member's place in a tar file, and of its entry in the index


@dataclass(frozen=True)
class Piece:
    """One utterance in a recording of a parcel; start and samples at the parcel's rate."""

    corpus: str
    speaker: str
    split: str
    start: int
    samples: int


@dataclass(frozen=True)
class Recording:
    """Pieces that became one Ogg Opus file; table: speech or noise."""

    name: str
    table: str
    rate: int
    pieces: list[Piece]
    opus: bytes = b""

    @property
    def entry(self) -> dict[str, Any]:
        """Of the index."""
        return {key: value for key, value in asdict(self).items() if key != "opus"}

    @property
    def size(self) -> int:
        """Bytes in a parcel."""
        return len(self.opus) + len(json.dumps(self.entry)) + OVERHEAD


@dataclass(frozen=True)
class Unit:
    """What becomes one recording."""

    name: str
    table: str
    items: list[Utterance]


def pack(
    data: Path,
    out: Path,
    splits: Sequence[str],
    rate: int = 16000,
    kbits: float = 20.0,
    most: float = 24.0,
    jobs: int = 1,
) -> list[Path]:
    """Write the parcels of a data folder, of at most `most` MB each. Raises InputError."""
    units = list(_units(data, splits))
    if not units:
        raise InputError(f"{data} has nothing of the splits {', '.join(splits)}")
    out.mkdir(parents=True, exist_ok=True)
    parcels: list[Path] = []
    waiting: list[Recording] = []
    with ProcessPoolExecutor(jobs) as pool:
        for recording in pool.map(partial(_recorded, rate=rate, kbits=kbits), units):
            if waiting and sum(one.size for one in (*waiting, recording)) > most * 1e6 - 20_000:
                parcels.append(_write(out / f"{len(parcels):02d}.parcel", waiting))
                waiting = []
            waiting.append(recording)
    parcels.append(_write(out / f"{len(parcels):02d}.parcel", waiting))
    return parcels


def unpack(parcels: Iterable[Path], folder: Path, jobs: int = 1) -> dict[str, int]:
    """Write WAV files and manifests of some parcels into a folder; how many lines of each.

    InputError: a file is no parcel.
    """
    work = [(path, entry) for path in parcels for entry in _index(path)]
    with ProcessPoolExecutor(jobs) as pool:
        found = list(pool.map(_unpacked, *zip(*work, strict=True), [folder] * len(work)))
    counts = {}
    for table in TABLES:
        rows = [row for of, rows in found if of == table for row in rows]
        if rows:
            with (folder / f"{table}.csv").open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(rows)
        counts[table] = len(rows)
    return counts


def _units(data: Path, splits: Sequence[str]) -> Iterator[Unit]:
    """Of the split used to validate, of noise, and of the rest, in this order, corpora mixed."""
    tables = {"speech": load_speech(data / "speech.csv")}
    if (data / "noise.csv").exists():
        tables["noise"] = load_noise(data / "noise.csv")
    chosen = {
        table: [item for item in items if item.split in splits] for table, items in tables.items()
    }
    rng = generator(0)
    groups = [
        (table, [item for item in items if (item.split == "valid") == valid])
        for valid in (True, False)
        for table, items in sorted(chosen.items(), reverse=valid)
    ]
    count = 0
    for table, items in groups:
        for part in _parts([items[index] for index in rng.permutation(len(items))]):
            yield Unit(f"{table}-{count:03d}", table, part)
            count += 1


def _parts(items: Sequence[Utterance]) -> Iterator[list[Utterance]]:
    part: list[Utterance] = []
    for item in items:
        part.append(item)
        if sum(one.seconds for one in part) >= SECONDS:
            yield part
            part = []
    if part:
        yield part


def _recorded(unit: Unit, rate: int, kbits: float) -> Recording:
    """One unit, encoded."""
    pieces, audio, start = [], [], 0
    for item in unit.items:
        samples, given = audio_io.read(item.path)
        part = resample(samples.mean(axis=0), given, rate).clip(-0.999, 0.999)
        pieces.append(Piece(item.corpus, item.speaker, item.split, start, part.size))
        audio.append(part)
        start += part.size
    whole, opus = np.concatenate(audio), io.BytesIO()
    level = (MOST - 1e3 * kbits) / (MOST - FEWEST)
    how = {"format": "OGG", "subtype": "OPUS", "compression_level": level}
    with soundfile.SoundFile(opus, "w", rate, 1, **how) as file:
        for begin in range(0, whole.size, BLOCK):
            file.write(whole[begin : begin + BLOCK])
    return Recording(unit.name, unit.table, rate, pieces, opus.getvalue())


def _write(path: Path, recordings: Sequence[Recording]) -> Path:
    index = json.dumps([recording.entry for recording in recordings]).encode()
    with tarfile.open(path, "w") as tar:
        for name, content in ((INDEX, index), *((one.name, one.opus) for one in recordings)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def _index(path: Path) -> list[dict[str, Any]]:
    return json.loads(_member(path, INDEX))


def _member(path: Path, name: str) -> bytes:
    try:
        with tarfile.open(path) as tar:
            content = tar.extractfile(name)
            assert content is not None
            return content.read()
    except (OSError, KeyError, tarfile.TarError) as error:
        why = str(error).partition("\n")[0]
        raise InputError(f"{path} is no parcel: {why}") from error


def _unpacked(path: Path, entry: dict[str, Any], folder: Path) -> tuple[str, list[list[object]]]:
    """Write the pieces of one recording; its table, and the rows of their manifest."""
    audio, rate = soundfile.read(io.BytesIO(_member(path, entry["name"])), dtype="float32")
    place = Path(entry["table"]) / f"{path.stem}-{entry['name']}"
    (folder / place).mkdir(parents=True, exist_ok=True)
    rows = []
    for number, piece in enumerate(Piece(**values) for values in entry["pieces"]):
        name = place / f"{number:04d}.wav"
        own = audio[piece.start : piece.start + piece.samples].clip(-1, 1)
        soundfile.write(folder / name, own, rate, subtype="PCM_16")
        seconds = round(own.size / rate, 3)
        rows.append([name.as_posix(), piece.corpus, piece.speaker, piece.split, rate, seconds])
    return entry["table"], rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    ways = parser.add_subparsers(dest="way", required=True)
    packing = ways.add_parser("pack", help="a data folder into parcels")
    packing.add_argument("data", type=Path)
    packing.add_argument("out", type=Path)
    packing.add_argument("--splits", default="valid,train,extra")
    packing.add_argument("--rate", type=int, choices=RATES, default=16000, help="Hz")
    packing.add_argument("--kbits", type=float, default=20.0, help="kbit/s")
    packing.add_argument("--most", type=float, default=24.0, help="MB of a parcel")
    unpacking = ways.add_parser("unpack", help="parcels into a data folder")
    unpacking.add_argument("parcels", type=Path, nargs="+")
    unpacking.add_argument("-o", "--out", type=Path, required=True)
    for way in (packing, unpacking):
        way.add_argument("--jobs", type=int, default=default_workers())
    options = parser.parse_args()
    try:
        if options.way == "unpack":
            print(json.dumps(unpack(options.parcels, options.out, options.jobs)))
            return
        how = (options.rate, options.kbits, options.most, options.jobs)
        for path in pack(options.data, options.out, options.splits.split(","), *how):
            print(f"{path} {path.stat().st_size / 1e6:.1f} MB")
    except InputError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
