"""What became of a job."""

import math
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cplxsep.audio.level import db
from cplxsep.errors import CplxsepError

if TYPE_CHECKING:
    from cplxsep.engine.talker_order import Seam


@dataclass
class Outcome:
    """What became of a job.

    status: done, skipped, planned or failed. input_level: of what was heard of the input, without
    its offset, dB re full scale. levels: of each source. silent: files of sources too soft to keep.
    gain: that the sources were scaled by not to clip. elapsed: seconds. seams: how the chunks were
    joined, and where talkers were put back within one. cause: of a failure, not in JSON.
    """

    input: str
    status: str
    outputs: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float | None = None
    sample_rate: int | None = None
    gain: float = 1.0
    input_level: float | None = None
    levels: list[float | None] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    seams: list["Seam"] = field(default_factory=list)
    elapsed: float = 0.0
    cause: CplxsepError | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {**asdict(replace(self, cause=None)), "weak_seams": len(self.weak_seams)}
        del found["cause"]
        return found

    @property
    def lost(self) -> float:
        """By how many dB the first output, before its gain, is below the input; 0 for silence."""
        if self.input_level is None or not self.levels:
            return 0.0
        if self.levels[0] is None:
            return math.inf
        return self.input_level - self.levels[0] + db(self.gain)

    @property
    def weak_seams(self) -> list["Seam"]:
        """Those where talkers may have changed files."""
        return [seam for seam in self.seams if seam.weak]


def _named(name: str) -> re.Pattern[str]:
    """Finds a name that stands for itself: a file may be called as a part of any word."""
    return re.compile(rf"(?<![\w./\\-]){re.escape(name)}(?![\w/\\-]|\.\w)")


def failure(label: str, path: Path | None, error: CplxsepError) -> Outcome:
    """Outcome of an input that could not be done; its error names the input."""
    message = str(error)
    if path is not None and not _named(label).search(message):
        message = _named(str(path)).sub(lambda _: label, message, count=1)
    if not _named(label).search(message):
        message = f"{label}: {message}"
    return Outcome(label, "failed", error=message, cause=error)
