"""Which utterances there are: a manifest CSV, or a folder with one sub-folder a speaker."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cplxsep.audio import ffmpeg, io
from cplxsep.audio.folder import files_below
from cplxsep.data.table import Row, read_table
from cplxsep.errors import InputError, tell

COLUMNS = ("path", "corpus", "speaker", "split", "sample_rate", "seconds")
SPLITS = ("train", "valid", "test")
# One division of a folder for training and all preparations: with a seed of the user's, talkers
# that were trained on could turn up in a test set.
SPLIT_SEED = 0
LEAST_HELD = 2  # speakers, what a mixture needs


@dataclass(frozen=True)
class Utterance:
    """One recording of one speaker; `path` is absolute, `sample_rate` in Hz."""

    path: Path
    corpus: str
    speaker: str
    split: str
    sample_rate: int
    seconds: float

    @property
    def talker(self) -> str:
        """The speaker's name over all corpora: two corpora may use the same number."""
        return f"{self.corpus}/{self.speaker}"


def load_speech(
    source: Path, report: Callable[[InputError], None] | None = None
) -> list[Utterance]:
    """Read a manifest CSV or scan a folder. InputError: missing, or nothing usable in it."""
    if source.is_dir():
        return scan_folder(source, report)
    return read_manifest(source)


def read_manifest(path: Path, *, recordings: bool = False) -> list[Utterance]:
    """Read a CSV with COLUMNS, paths relative to its folder. InputError: file, line, column.

    With `recordings` it needs no column speaker: each recording is a speaker of its own.
    """
    needed = [name for name in COLUMNS if not (recordings and name == "speaker")]
    columns, rows = read_table(path)
    if absent := [name for name in needed if name not in columns]:
        raise InputError(f"{path} has no column {', '.join(absent)}: it is no manifest")
    root = path.absolute().parent
    utterances: dict[str, Utterance] = {}
    again = []
    for where, row in rows:
        item = _utterance(row, root, where, recordings)
        first = utterances.setdefault(os.path.normpath(item.path), item)
        if (first.talker, first.split) != (item.talker, item.split) and not recordings:
            raise InputError(f"{where}: {item.path} is listed before, of another speaker or split")
        if first is not item:
            again.append(where)
    if not utterances:
        raise InputError(f"{path} lists no utterance")
    if again:
        tell(f"{path} lists {len(again)} recordings again, first in {again[0]}: each is used once")
    return list(utterances.values())


def _utterance(row: Row, root: Path, where: str, recording: bool) -> Utterance:
    def text(column: str) -> str:
        if not row[column]:
            raise InputError(f"{where}: column {column} is empty")
        return row[column]

    def number(column: str) -> float:
        try:
            value = float(text(column))
        except ValueError:
            raise InputError(f"{where}: column {column} is no number: {row[column]!r}") from None
        if not 0 < value < 1e9:
            raise InputError(f"{where}: column {column} must be above zero: {row[column]!r}")
        return value

    return Utterance(
        path=root / text("path"),
        corpus=text("corpus"),
        speaker=text("path" if recording else "speaker"),
        split=row["split"],
        sample_rate=int(number("sample_rate")),
        seconds=number("seconds"),
    )


def scan_folder(
    folder: Path, report: Callable[[InputError], None] | None = None
) -> list[Utterance]:
    """Utterances of a folder with one sub-folder a speaker, searched to any depth; split "".

    Files that are no readable audio, and closed folders, are left out and told to `report`.
    InputError: no folder, or no audio file in any sub-folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of speech")
    root = folder.absolute()
    utterances = [
        Utterance(path, root.name, below[0], "", info.sample_rate, info.seconds)
        for path, info in probed(root, report)
        if len(below := path.relative_to(root).parts) > 1
    ]
    if not utterances:
        raise InputError(f"{folder} holds no audio in sub-folders: it needs one a speaker")
    return utterances


def probed(
    folder: Path, report: Callable[[InputError], None] | None = None
) -> Iterator[tuple[Path, io.AudioInfo]]:
    """Audio files of a folder, searched to any depth, sorted.

    What cannot be read, a file or a folder, goes to `report`.
    """
    paths, unread = files_below(folder)
    ffmpeg.tell_left_out(folder, paths)
    if report:
        for closed in unread:
            report(closed.error)
    for path in io.audio_files(paths, folder, io.extensions()):
        try:
            yield path, io.probe(path)
        except InputError as error:
            if report:
                report(error)


def by_speaker(utterances: Iterable[Utterance]) -> dict[str, list[Utterance]]:
    """Utterances of each talker, in the order given, under `Utterance.talker`."""
    table: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        table.setdefault(utterance.talker, []).append(utterance)
    return table


def assign_splits(utterances: list[Utterance]) -> list[Utterance]:
    """Give utterances without a split one of SPLITS: 80, 10 and 10% of the speakers, disjoint.

    The same speakers always get the same splits. Valid and test get at least LEAST_HELD each;
    with fewer than three times that in all, everything is train.
    """
    talkers = sorted({item.talker for item in utterances if not item.split})
    order = np.random.default_rng(SPLIT_SEED).permutation(len(talkers))
    enough = len(talkers) >= 3 * LEAST_HELD
    held = max(LEAST_HELD, round(0.1 * len(talkers))) if enough else 0
    split = {}
    for place, index in enumerate(order):
        split[talkers[index]] = SPLITS[1 if place < held else 2 if place < 2 * held else 0]
    return [item if item.split else replace(item, split=split[item.talker]) for item in utterances]


def check_disjoint(utterances: Iterable[Utterance]) -> None:
    """InputError naming a speaker that is in two splits."""
    seen: dict[str, str] = {}
    for item in utterances:
        first = seen.setdefault(item.talker, item.split)
        if first != item.split:
            raise InputError(
                f"speaker {item.speaker} of {item.corpus} is in two splits, {first} and "
                f"{item.split}: give each speaker one split"
            )


def fingerprint(utterances: Sequence[Utterance]) -> str:
    """A short hash of the list and the files' sizes.

    It stays when the recordings are moved or copied as a whole.
    """
    root = os.path.commonpath([item.path.parent for item in utterances]) if utterances else ""
    rows = [
        [
            os.path.relpath(item.path, root),
            item.talker,
            item.sample_rate,
            item.seconds,
            _size(item.path),
        ]
        for item in utterances
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def _size(path: Path) -> int:
    """Bytes of a file; 0 where it is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
