"""From what the user names to a list of jobs: which files, which channels, which outputs.

All of it happens before any work, so that names that clash stop the command at once.
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from cplxsep.audio import ffmpeg, io
from cplxsep.audio.io import AudioInfo
from cplxsep.audio.level import Mean
from cplxsep.audio.pipe import WavStream
from cplxsep.errors import InputError, UsageError, tell

Item = TypeVar("Item")

_MARK = "\0"  # in no name
_WITH_MARK = re.compile(f"[-_. ]+{_MARK}|{_MARK}[-_. ]*")


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


@dataclass(frozen=True)
class Job:
    """One channel of one file (None: the mean of all) and the file for each source.

    every: all channels instead, each kept. rttm: file that says who speaks when.
    """

    found: Found
    info: AudioInfo
    channel: int | None
    outputs: tuple[Path, ...]
    plot: Path | None
    every: bool = False
    rttm: Path | None = None

    @property
    def label(self) -> str:
        """What the user calls the input."""
        name = self.found.label
        return name if self.channel is None else f"{name} (channel {self.channel + 1})"

    @property
    def written(self) -> tuple[Path, ...]:
        """All files that come of the job."""
        return (*self.outputs, *(path for path in (self.plot, self.rttm) if path is not None))

    @property
    def is_there(self) -> bool:
        """Whether all of them exist."""
        return all(map(os.path.exists, self.written))

    @property
    def channels(self) -> int:
        """Channels of each output."""
        return self.info.channels if self.every else 1

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """The input as float32 blocks of `frames`, the last one shorter. InputError.

        They are (S,), or (C, S) where every channel is kept.
        """
        stream = self.found.stream
        blocks = stream.blocks(frames) if stream else io.blocks(self.found.path, frames)
        mean = Mean()
        for block in blocks:
            if self.every:
                yield block
            else:
                yield mean(block) if self.channel is None else block[self.channel]
        if mean.cancels:
            tell(
                f"{self.found.label}: its channels cancel each other out, little is left of their "
                "mean: use --channel 1, or --channel each"
            )


@dataclass(frozen=True)
class Naming:
    """How outputs are called: folder, template, names of the sources, channels, extras."""

    out: Path
    template: str
    sources: tuple[str, ...]
    extension: str
    channel: str = "mix"
    plot: bool = False
    rttm: bool = False

    def __post_init__(self) -> None:
        if self.channel not in ("mix", "each", "all") and not (
            self.channel.isdecimal() and int(self.channel) > 0
        ):
            raise UsageError(f"channel '{self.channel}': use mix, each or a number from 1")
        any_file = Found(Path("a.wav"), "a.wav", "a", "p")
        names = {self._name(any_file, "a", source) for source in self.sources}
        if len(names) < len(self.sources):
            raise UsageError(f"name '{self.template}' gives all sources one file: use {{source}}")

    @property
    def reads_again(self) -> bool:
        """Whether the outputs take more than one pass over the input."""
        return self.plot or self.channel == "each"

    def jobs(self, found: Found, info: AudioInfo) -> list[Job]:
        """Jobs for one file. Raises InputError when it has not the channel asked for."""
        if self.channel in ("mix", "all"):
            return [self._job(found, info, None, found.stem)]
        if self.channel == "each":
            return [
                self._job(found, info, index, f"{found.stem}_ch{index + 1}")
                for index in range(info.channels)
            ]
        index = int(self.channel) - 1
        if index >= info.channels:
            raise InputError(f"{found.label} has {info.channels} channels, not {self.channel}")
        return [self._job(found, info, index, found.stem)]

    def _job(self, found: Found, info: AudioInfo, channel: int | None, stem: str) -> Job:
        folder = self.out / found.below
        outputs = tuple(folder / self._name(found, stem, tag) for tag in self.sources)
        plot = folder / self._name(found, stem, "plot", "png") if self.plot else None
        if plot in outputs or (plot and plot.suffix != ".png"):
            plot = outputs[0].with_name(f"{stem}_plot.png")
        rttm = folder / self._rttm_name(found, stem) if self.rttm else None
        return Job(found, info, channel, outputs, plot, self.channel == "all", rttm)

    def _rttm_name(self, found: Found, stem: str) -> Path:
        """As the outputs, but for the source's name and what sets it apart."""
        named = Path(self._name(found, stem, _MARK, "rttm"))
        *folders, rest = (_WITH_MARK.sub("", part) for part in (*named.parent.parts, named.stem))
        return Path(*folders, f"{rest or stem}.rttm")

    def _name(self, found: Found, stem: str, source: str, extension: str | None = None) -> str:
        fields = {
            "stem": stem,
            "source": source,
            "ext": extension or self.extension,
            "parent": found.parent,
            "input_ext": found.path.suffix.removeprefix("."),
        }
        try:
            name = self.template.format(**fields)
        except (KeyError, IndexError, ValueError, AttributeError):
            known = ", ".join(f"{{{field}}}" for field in fields)
            raise UsageError(f"name '{self.template}': use {known} only") from None
        name = name.lstrip("/\\")
        if not name or name.endswith(("/", "\\")):
            raise UsageError(f"name '{self.template}' names no file")
        if ".." in Path(name).parts:
            raise UsageError(f"name '{self.template}' leads out of the output folder")
        return name


def expand(named: str, out: Path) -> list[Found]:
    """Audio files behind a file name, a folder or a glob pattern.

    Folders are searched through, but not the output folder inside one: what one run wrote is no
    input to the next.

    Raises:
        InputError: there is no audio file in the folder or behind the pattern.
    """
    path = Path(named)
    if os.path.isdir(path):
        inside = _audio_files(path.rglob("*"), path, out)
        if not inside:
            raise InputError(f"no audio files in folder {named}")
        return inside
    if not os.path.exists(path) and glob.has_magic(named):
        matches = map(Path, glob.glob(named, recursive=True))
        matching = _audio_files(matches, _fixed_part(path), out)
        if not matching:
            raise InputError(f"no audio files match {named}")
        return matching
    return [_found(path)]


def unique(items: Iterable[Item]) -> list[Item]:
    """The items without repeated jobs: a file that was named twice is done once."""
    seen: dict[object, Item] = {}
    for item in items:
        key: object = id(item)
        if isinstance(item, Job):
            key = (_real(item.found.path), item.channel, item.outputs)
        seen.setdefault(key, item)
    return list(seen.values())


def without_results(items: Sequence[Item]) -> list[Item]:
    """The items without jobs on what an earlier run wrote, all of it, for another job.

    So a folder that grows can be worked on in place.
    """
    results: set[object] = set()
    for item in items:
        if isinstance(item, Job) and item.is_there:
            own = {_identity(path) for path in item.outputs}
            results |= own if _identity(item.found.path) not in own else set()
    return [
        item
        for item in items
        if not (isinstance(item, Job) and _identity(item.found.path) in results)
    ]


def check_clashes(jobs: Sequence[Job], named: Iterable[Path], report: Path | None = None) -> None:
    """Raise UsageError if a file would be written twice or an input would be replaced.

    `named` are further inputs, such as those that cannot be read.
    """
    inputs = {_identity(path) for path in (*(job.found.path for job in jobs), *named)}
    writers: dict[str, Job] = {}
    if report and _identity(report) in inputs:
        raise UsageError(f"--report {report} would replace an input")
    for job in jobs:
        for path in job.written:
            if _identity(path) in inputs:
                skip = ", or --exist skip if an earlier run wrote it" if job.is_there else ""
                raise UsageError(f"{path} would replace an input: choose another --out{skip}")
            if report and _real(path) == _real(report):
                raise UsageError(
                    f"--report and {job.label} would both write {path}: name another file"
                )
            if (other := writers.get(_real(path))) is not None:
                raise UsageError(
                    f"{other.label} and {job.label} would both write {path}: "
                    f"{_how_apart(other.found, job.found)}"
                )
            writers[_real(path)] = job


def _how_apart(first: Found, second: Found) -> str:
    """How two inputs can have outputs of different names."""
    field = ""
    if first.path.suffix != second.path.suffix:
        field = "{input_ext}"
    elif first.parent != second.parent:
        field = "{parent}"
    put = f"put {field} into --name, or " if field else ""
    return f"{put}run them apart, each with its own --out"


def _found(path: Path, below: Path = Path()) -> Found:
    return Found(path, str(path), path.stem, path.absolute().parent.name, below)


def _audio_files(paths: Iterable[Path], top: Path, out: Path) -> list[Found]:
    """Those of the paths below `top` that are audio files and not in `out`, in order."""
    done, searched = os.path.realpath(out), os.path.realpath(top)
    inside = done != searched and Path(done).is_relative_to(searched)
    known = io.EXTENSIONS | ffmpeg.EXTENSIONS
    found = [
        path
        for path in sorted(paths)
        if path.suffix.lower() in known
        # A leading dot marks other programs' side files and our unfinished ones.
        and not any(part.startswith(".") for part in path.relative_to(top).parts)
        and os.path.isfile(path)
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


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _identity(path: Path) -> tuple[int, int] | str:
    """What tells a file from others, whatever its names, as on case-blind file systems."""
    try:
        status = path.stat()
    except OSError:
        return _real(path)
    return (status.st_dev, status.st_ino)
