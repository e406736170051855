"""One piece of work: an input, its channel, and the files that come of it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.level import Mean
from cplxsep.engine.find import Found
from cplxsep.errors import tell


@dataclass(frozen=True)
class Job:
    """One channel of one file (None: the mean of all) and the file for each source.

    every: all channels instead, each kept. rttm: file that says who speaks when. drops: outputs
    that are too soft are not kept.
    """

    found: Found
    channel: int | None
    outputs: tuple[Path, ...]
    plot: Path | None
    every: bool = False
    rttm: Path | None = None
    drops: bool = False

    @property
    def label(self) -> str:
        """What the user calls the input."""
        name = self.found.label
        return name if self.channel is None else f"{name} (channel {self.channel + 1})"

    @property
    def written(self) -> tuple[Path, ...]:
        """All files that come of the job."""
        return (*self.outputs, *self._beside)

    @property
    def is_there(self) -> bool:
        """Whether an earlier run wrote them: all, or one output where some may be dropped."""
        enough = any if self.drops else all
        there = os.path.exists
        return enough(map(there, self.outputs)) and all(map(there, self._beside))

    @property
    def _beside(self) -> tuple[Path, ...]:
        """The files that go with the outputs."""
        return tuple(path for path in (self.plot, self.rttm) if path is not None)

    @property
    def channels(self) -> int:
        """Channels of each output."""
        return self.found.info.channels if self.every else 1

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """The input as float32 blocks of `frames`, the last one shorter. InputError.

        They are (S,), or (C, S) where every channel is kept.
        """
        mean = Mean()
        for block in self.found.blocks(frames):
            if self.every:
                yield block
            else:
                yield mean(block) if self.channel is None else block[self.channel]
        if mean.cancels:
            tell(
                f"{self.found.label}: its channels cancel each other out, little is left of their "
                "mean: use --channel 1, or --channel each"
            )
