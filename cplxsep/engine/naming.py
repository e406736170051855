"""From an input to its jobs: which channels, and what their outputs are called."""

import re
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path
from string import Formatter

from cplxsep.audio import ffmpeg, io
from cplxsep.engine.find import Found
from cplxsep.engine.job import Job
from cplxsep.errors import InputError, UsageError

_MARK, _STEM, _PARENT = "\0", "\1", "\2"  # in no name
_AUDIO = io.EXTENSIONS | ffmpeg.EXTENSIONS
_KINDS = ("wav", "flac", "ogg", "mp3")  # that can be written
_OTHERS = {"ogg": "oga"}  # what else they may be called
_WITH_MARK = re.compile(f"[-_. ]+{_MARK}|{_MARK}[-_. ]*")


@dataclass(frozen=True)
class Naming:
    """How outputs are called: folder, template, names of the sources, channels, extras.

    drops: those that are too soft are not kept.
    """

    out: Path
    template: str
    sources: tuple[str, ...]
    extension: str
    channel: str = "mix"
    plot: bool = False
    rttm: bool = False
    drops: bool = False

    def __post_init__(self) -> None:
        if self.channel not in ("mix", "each", "all") and not (
            self.channel.isdecimal() and int(self.channel) > 0
        ):
            raise UsageError(f"channel '{self.channel}': use mix, each or a number from 1")
        suffix = Path(self.template).suffix.lower()
        if suffix in _AUDIO and suffix[1:] not in (self.extension, _OTHERS.get(self.extension)):
            way = f"--format {suffix[1:]}, or " if suffix[1:] in _KINDS else ""
            raise UsageError(
                f"name '{self.template}' is for files of {suffix[1:]}, these are {self.extension}: "
                f"say {way}.{{ext}} at its end"
            )
        any_file = Found(Path("a.wav"), "a.wav", "a", "p")
        names = {self._name(any_file, "a", source) for source in self.sources}
        if len(names) < len(self.sources):
            raise UsageError(f"name '{self.template}' gives all sources one file: use {{source}}")

    @property
    def reads_again(self) -> bool:
        """Whether the outputs take more than one pass over the input."""
        return self.plot or self.channel == "each"

    def jobs(self, found: Found) -> list[Job]:
        """Jobs for one file. InputError: unreadable, or without the channel asked for."""
        channels, stem = found.info.channels, found.stem
        if self.channel in ("mix", "all"):
            return [self._job(found, None, stem)]
        if self.channel == "each":
            return [self._job(found, n, f"{stem}_ch{n + 1}") for n in range(channels)]
        index = int(self.channel) - 1
        if index >= channels:
            raise InputError(f"{found.label} has {channels} channels, not {self.channel}")
        return [self._job(found, index, stem)]

    def _job(self, found: Found, channel: int | None, stem: str) -> Job:
        folder = self.out / found.below
        outputs = tuple(folder / self._name(found, stem, tag) for tag in self.sources)
        plot = folder / self._name(found, stem, "plot", "png") if self.plot else None
        if plot in outputs or (plot and plot.suffix != ".png"):
            plot = outputs[0].with_name(f"{stem}_plot.png")
        rttm = folder / self._rttm_name(found, stem) if self.rttm else None
        return Job(found, channel, outputs, plot, self.channel == "all", rttm, self.drops)

    def _rttm_name(self, found: Found, stem: str) -> Path:
        """As the outputs, but for the source's name and what sets it apart."""
        # What the input's own names end in is no part of what sets a source apart.
        named = Path(self._name(replace(found, parent=_PARENT), _STEM, _MARK, "rttm"))
        *folders, rest = (_WITH_MARK.sub("", part) for part in (*named.parent.parts, named.stem))
        path = str(Path(*folders, f"{rest or _STEM}.rttm"))
        return Path(path.replace(_STEM, stem).replace(_PARENT, found.parent))

    def _name(self, found: Found, stem: str, source: str, extension: str | None = None) -> str:
        fields = {
            "stem": stem,
            "source": source,
            "ext": extension or self.extension,
            "parent": found.parent,
            "input_ext": found.path.suffix.removeprefix("."),
        }
        if not _is_plain(self.template, fields):
            known = ", ".join(f"{{{field}}}" for field in fields)
            raise UsageError(f"name '{self.template}': use {known} only")
        name = self.template.format(**fields)
        name = name.lstrip("/\\")
        if not name or name.endswith(("/", "\\")):
            raise UsageError(f"name '{self.template}' names no file")
        if ".." in Path(name).parts:
            raise UsageError(f"name '{self.template}' leads out of the output folder")
        return name


def _is_plain(template: str, fields: Container[str]) -> bool:
    """Whether a template can be filled, with these fields as they are: no widths, no attributes."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return False
    return all(
        field is None or (field in fields and not form and not conversion)
        for _, field, form, conversion in parts
    )
