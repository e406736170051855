"""Which audio files a folder holds, by the name that examples share: one pass over the folder."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from cplxsep.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg")
NUMBERED = re.compile(r"(.+)_s([1-9][0-9]*)")

Files = Mapping[str, Path]


def audio_files(folder: Path) -> dict[str, Path]:
    """Audio files by stem, in the order of the stems; WAV before FLAC before Ogg of one stem.

    Hidden files do not count: other programs leave side files. InputError: not a readable folder.
    """
    found: list[tuple[str, int, str]] = []
    try:
        # A stat for each of 10,000 files would take longer than the list itself.
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)
                if suffix.lower() in SUFFIXES and not stem.startswith("."):
                    found.append((stem, SUFFIXES.index(suffix.lower()), entry.name))
    except NotADirectoryError as error:
        raise InputError(f"{folder} is not a folder") from error
    except FileNotFoundError as error:
        raise InputError(f"{folder} is not a folder: there is no such thing") from error
    except OSError as error:
        raise InputError(f"cannot read the folder {folder}: {error.strerror}") from error
    files: dict[str, Path] = {}
    for stem, _, name in sorted(found):
        files.setdefault(stem, folder / name)
    return files


def talker_folders(folder: Path) -> list[dict[str, Path]]:
    """Audio files of the sub-folders s1, s2, ... as far as they go; none without s1."""
    found: list[dict[str, Path]] = []
    while (own := folder / f"s{len(found) + 1}").is_dir():
        found.append(audio_files(own))
    return found


def talker_files(files: Files) -> list[dict[str, Path]]:
    """Files NAME_s1, NAME_s2, ... of one folder, by talker and NAME; none without any _s1."""
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
