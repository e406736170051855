"""The audio files behind what a user names: files, folders, globs."""

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cplxsep.audio import ffmpeg, io
from cplxsep.audio.folder import Unread, files_below
from cplxsep.audio.pipe import WavStream
from cplxsep.errors import InputError


@dataclass(frozen=True)
class Found:
    """One audio file: where it is, what the user calls it, where it lies below what was named.

    stream: what to read instead, once, where the audio comes through a pipe.
    """

    path: Path
    label: str
    stem: str
    parent: str
    below: Path = Path()
    stream: WavStream | None = None

    @cached_property
    def info(self) -> io.AudioInfo:
        """Rate, length and channels, looked up once. InputError."""
        return self.stream.info if self.stream else io.probe(self.path)

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """The audio as float32 blocks (C, `frames`), the last one shorter. InputError."""
        if self.stream:
            return self.stream.blocks(frames)
        return io.blocks(self.path, frames, self.info)


def expand(named: str, out: Path) -> list[Found | Unread]:
    """Audio files behind a file name, a folder or a glob pattern, and folders that hide theirs.

    Folders are searched through, but not the output folder inside one: what one run wrote is no
    input to the next.

    Raises:
        InputError: there is no audio file in the folder or behind the pattern.
    """
    path = Path(named)
    if os.path.isdir(path):
        paths, unread = files_below(path, out)
        inside = _audio_files(paths, path, out)
        if not inside and not unread:
            raise InputError(f"no audio files in folder {named}")
        return [*inside, *unread]
    if not os.path.exists(path) and glob.has_magic(named):
        matches = map(Path, glob.glob(named, recursive=True))
        matching = _audio_files(matches, _fixed_part(path), out)
        if not matching:
            raise InputError(f"no audio files match {named}")
        return [*matching]
    return [_found(path)]


def _found(path: Path, below: Path = Path()) -> Found:
    return Found(path, str(path), path.stem, path.absolute().parent.name, below)


def _audio_files(paths: Iterable[Path], top: Path, out: Path) -> list[Found]:
    """Those of the paths below `top` that are audio files and not in `out`, in order."""
    done, searched = os.path.realpath(out), os.path.realpath(top)
    inside = done != searched and Path(done).is_relative_to(searched)
    found = [
        path
        for path in io.audio_files(paths, top, io.EXTENSIONS | ffmpeg.EXTENSIONS)
        if os.path.isfile(path)
        and not (inside and Path(os.path.realpath(path)).is_relative_to(done))
    ]
    ffmpeg.tell_left_out(top, found)
    return [
        _found(path, path.parent.relative_to(top))
        for path in found
        if path.suffix.lower() in io.extensions()
    ]


def _fixed_part(pattern: Path) -> Path:
    """The folders of a pattern before its first wildcard."""
    fixed = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)
