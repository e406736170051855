"""Separates planned jobs, one file after another, and says what became of each."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cplxsep.audio import io
from cplxsep.engine.files import make_folder, writing
from cplxsep.engine.inputs import Job
from cplxsep.engine.plot import plot
from cplxsep.errors import CplxsepError, InputError

if TYPE_CHECKING:
    from cplxsep.engine.seams import Seam
    from cplxsep.engine.separator import Separator

# Gives a generator of the blocks.
Watch = Callable[[Iterable[np.ndarray], int], Any]


@dataclass(frozen=True)
class Settings:
    """How outputs are written: container, sample type, rate, and what they sum to."""

    kind: str = "wav"
    subtype: str = "float"
    at_model_rate: bool = False
    sum_to_mix: bool = False


@dataclass
class Outcome:
    """What became of a job.

    status: done, skipped, planned or failed. levels: of each source, dB re full scale.
    gain: that the sources were scaled by not to clip. elapsed: seconds.
    """

    input: str
    status: str
    outputs: list[str] = field(default_factory=list)
    error: str | None = None
    seconds: float | None = None
    sample_rate: int | None = None
    gain: float = 1.0
    levels: list[float | None] = field(default_factory=list)
    seams: list["Seam"] = field(default_factory=list)
    elapsed: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def failure(label: str, path: Path | None, error: CplxsepError) -> Outcome:
    """Outcome of an input that could not be done; its error names the input."""
    message = str(error)
    if path is not None:
        message = message.replace(str(path), label)
    if label not in message:
        message = f"{label}: {message}"
    return Outcome(label, "failed", error=message)


def separate_file(
    separator: "Separator", job: Job, settings: Settings, watch: Watch = lambda blocks, _: blocks
) -> Outcome:
    """Read, separate and write one job in constant memory.

    Args:
        watch: passes on the blocks read; it gets them and their number. It is closed in the end.

    Raises:
        InputError: the file cannot be read to its end, or the outputs cannot be written.
        DeviceError: the memory does not suffice.
    """
    begun, info = time.monotonic(), job.info
    for path in job.written:
        # Found out when all is done, it would be after other files were replaced.
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder")
    rate = separator.sample_rate if settings.at_model_rate else info.sample_rate
    size = max(round(separator.block_seconds * info.sample_rate), 1)
    seams: list[Seam] = []

    def draw(sources: Sequence[Path]) -> None:
        if job.plot:
            make_folder(job.plot.parent)
            plot(job.plot, job.found.path, job.channel, sources)

    # A progress bar left open by an error would keep standard output for itself.
    with (
        closing(watch(io.blocks(job.found.path, size), -(-info.frames // size))) as blocks,
        writing(
            job.outputs,
            rate,
            kind=settings.kind,
            subtype=settings.subtype,
            frames=round(info.seconds * rate),
            inspect=draw,
        ) as writer,
    ):
        for part in separator.stream(
            _one_channel(blocks, job.channel),
            info.sample_rate,
            at_model_rate=settings.at_model_rate,
            sum_to_mix=settings.sum_to_mix,
            seams=seams,
        ):
            writer.write(part)
    return Outcome(
        job.label,
        "done",
        outputs=[str(path) for path in job.written],
        seconds=info.seconds,
        sample_rate=rate,
        gain=writer.gain,
        levels=writer.levels,
        seams=seams,
        elapsed=round(time.monotonic() - begun, 3),
    )


def _one_channel(blocks: Iterable[np.ndarray], channel: int | None) -> Iterator[np.ndarray]:
    for block in blocks:
        yield block.mean(axis=0) if channel is None else block[channel]
