"""How folders of mixtures, of references and of estimates are laid out, ours and the field's.

SPLIT/{mix,s1,s2,...}/NAME.wav as in wsj0-2mix; LibriMix has mix_clean, mix_both and mix_single in
place of mix. Or all in one folder: NAME.wav, NAME_s1.wav, NAME_s2.wav, ...
"""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.data.table import read_table
from cplxsep.errors import InputError

MIXTURES = ("mix", "mix_both", "mix_clean", "mix_single")
"""Sub-folders with mixtures; mix_single has the first talker alone."""
METADATA, PREPARATION = "metadata.csv", "preparation.json"
NAME = ("name", "mixture_ID")  # its column, in ours and LibriMix's
SUFFIXES = (".wav", ".flac", ".ogg")
NUMBERED = re.compile(r"(.+)_s([1-9][0-9]*)")

Files = Mapping[str, Path]


def kinds(path: Path) -> list[str]:
    """Those of the sub-folders with mixtures that a split has."""
    return [name for name in MIXTURES if (path / name).is_dir()]


def split_folder(path: Path) -> Path:
    """The folder itself where it holds mixtures, or the only split in it. InputError: else."""
    if not path.is_dir():
        raise InputError(f"{path} is not a folder of mixtures")
    if kinds(path):
        return path
    splits = sorted(item for item in path.iterdir() if kinds(item))
    if not splits:
        raise InputError(f"{path} has no folder mix: it is no folder of mixtures")
    if len(splits) > 1:
        raise InputError(f"{path} holds several splits: choose {' or '.join(map(str, splits))}")
    return splits[0]


def talker_folders(folder: Path) -> list[Path]:
    """The sub-folders s1, s2, ... as far as they go; none without s1."""
    found: list[Path] = []
    while (own := folder / f"s{len(found) + 1}").is_dir():
        found.append(own)
    return found


def files_by_name(folder: Path) -> dict[str, Path]:
    """Audio files by stem, in the order of the stems; WAV before FLAC before Ogg of one stem.

    InputError: not a readable folder.
    """
    try:
        # No stat: for each of 10,000 files it would take longer than the list itself.
        found = io.audio_files(folder.iterdir(), folder, SUFFIXES)
    except NotADirectoryError as error:
        raise InputError(f"{folder} is not a folder") from error
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not a folder: there is no such thing") from error
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}") from error
    files: dict[str, Path] = {}
    for path in sorted(found, key=lambda path: (path.stem, SUFFIXES.index(path.suffix.lower()))):
        files.setdefault(path.stem, path)
    return files


class Talkers:
    """Each talker's files by name: in s1, s2, ..., or NAME_s1, NAME_s2, ... in one folder.

    `each` has the files of each; `files` are all of the one folder, where there are no sub-folders.
    A file that is missing is told as `pattern` has it.
    """

    def __init__(self, folder: Path) -> None:
        """InputError: not a readable folder."""
        self.folder = folder
        self.each = [files_by_name(own) for own in talker_folders(folder)]
        self.nested = bool(self.each)
        self.files = {} if self.nested else files_by_name(folder)
        self.each = self.each or _numbered(self.files)
        self.pattern = "s{number}/{name}.wav" if self.nested else "{name}_s{number}.wav"

    def one_alone(self, files: Files, pattern: str = "") -> None:
        """Take these files for those of the only talker, missing ones told as `pattern` has it."""
        self.each, self.pattern = [dict(files)], pattern or self.pattern

    def keep(self, count: int) -> None:
        """Leave out the talkers after the first `count`."""
        del self.each[count:]

    def pick(self, name: str, what: str) -> list[Path]:
        """The file of each talker. InputError: `what` is missing."""
        return [
            pick(own, name, what, self.folder / self.pattern.format(name=name, number=number))
            for number, own in enumerate(self.each, 1)
        ]


def _numbered(files: Files) -> list[dict[str, Path]]:
    """Files NAME_s1, NAME_s2, ... by talker and NAME; none without any _s1."""
    talkers: dict[int, dict[str, Path]] = {}
    for stem, path in files.items():
        if match := NUMBERED.fullmatch(stem):
            talkers.setdefault(int(match[2]), {})[match[1]] = path
    found: list[dict[str, Path]] = []
    while len(found) + 1 in talkers:
        found.append(talkers[len(found) + 1])
    return found


def pick(files: Files, name: str, what: str, expected: Path) -> Path:
    """The file of a name. InputError: `what` is missing; it was expected like `expected`."""
    if name in files:
        return files[name]
    raise InputError(f"missing {what}: {expected}")


def read_mono(path: Path, why: str) -> tuple[np.ndarray, int]:
    """Float32 (S,), and the rate in Hz. InputError: unreadable, or not mono, as `why` asks."""
    audio, rate = io.read(path)
    if len(audio) != 1:
        raise InputError(f"{path} has {len(audio)} channels: {why}")
    return audio[0], rate


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a metadata.csv by name, which each has as `name`, whatever its column is called.

    None if the file is missing. InputError: unreadable, no names, or one has two unlike rows.
    """
    if not path.is_file():
        return {}
    columns, rows = read_table(path)
    column = next((key for key in NAME if key in columns), None)
    if column is None:
        raise InputError(f"{path} has no column name")
    found: dict[str, dict[str, str]] = {}
    for where, row in rows:
        row = row | {"name": row[column]}
        if found.setdefault(row["name"], row) != row:
            raise InputError(f"{where}: {row['name']} is listed before, with other values")
    return found
