"""From an input to its jobs: which channels, and what their outputs are called."""

import re
from dataclasses import dataclass
from pathlib import Path

from cplxsep.engine.find import Found
from cplxsep.engine.job import Job
from cplxsep.errors import InputError, UsageError

_MARK = "\0"  # in no name
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
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            known = ", ".join(f"{{{field}}}" for field in fields)
            raise UsageError(f"name '{self.template}': use {known} only") from None
        name = name.lstrip("/\\")
        if not name or name.endswith(("/", "\\")):
            raise UsageError(f"name '{self.template}' names no file")
        if ".." in Path(name).parts:
            raise UsageError(f"name '{self.template}' leads out of the output folder")
        return name
