"""Separates planned jobs, one file after another, and says what became of each."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cplxsep.audio.atomic import check_target
from cplxsep.engine.ahead import Ahead
from cplxsep.engine.enhance import Enhancement, enhanced
from cplxsep.engine.files import writing
from cplxsep.engine.inputs import Job
from cplxsep.engine.plot import plot
from cplxsep.errors import CplxsepError, DeviceError

if TYPE_CHECKING:
    from cplxsep.engine.seams import Seam
    from cplxsep.engine.separator import Separator

Watch = Callable[[Iterable[np.ndarray], int | None], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Settings:
    """How outputs are written: container, sample type, rate, what they sum to; and enhancement."""

    kind: str = "wav"
    subtype: str = "float"
    at_model_rate: bool = False
    sum_to_mix: bool = False
    enhancement: Enhancement | None = None


@dataclass
class Outcome:
    """What became of a job.

    status: done, skipped, planned or failed. levels: of each source, dB re full scale.
    gain: that the sources were scaled by not to clip. elapsed: seconds. seams: how the chunks
    were joined.
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
        return {**asdict(self), "weak_seams": len(self.weak_seams)}

    @property
    def weak_seams(self) -> list["Seam"]:
        """Those where talkers may have changed files."""
        return [seam for seam in self.seams if seam.weak]


def failure(label: str, path: Path | None, error: CplxsepError) -> Outcome:
    """Outcome of an input that could not be done; its error names the input."""
    message = str(error)
    if path is not None:
        message = message.replace(str(path), label)
    if label not in message:
        message = f"{label}: {message}"
    return Outcome(label, "failed", error=message)


def separate_file(
    separator: "Separator",
    job: Job,
    settings: Settings,
    watch: Watch = lambda blocks, _: blocks,
    *,
    block: float | None = None,
    cancelled: threading.Event | None = None,
) -> Outcome:
    """Read, separate and write one job, in threads that overlap and in constant memory.

    Args:
        watch: passes on the blocks read; it gets them and their number, None if unknown.
        block: seconds to read at once; as much as fills a batch if None.
        cancelled: makes an end with CancelledError when set.

    Raises:
        InputError: the file cannot be read to its end, or the outputs cannot be written.
        DeviceError: the memory does not suffice.
    """
    begun, info = time.monotonic(), job.info
    for path in job.written:
        # Found out when all is done, it would be after other files were replaced.
        check_target(path)
    runs = separator.at(info.sample_rate)
    rate = runs.rate if settings.at_model_rate else info.sample_rate
    size = max(round((block or runs.seconds(runs.batch)) * info.sample_rate), 1)
    seams: list[Seam] = []

    def draw(sources: Sequence[Path]) -> None:
        if job.plot:
            # With {source} as a folder all files have one name: what differs is told, too.
            common = os.path.commonpath([path.parent for path in job.outputs])
            names = [os.path.relpath(path, common) for path in job.outputs]
            plot(job.plot, job.found.path, job.channel, dict(zip(names, sources, strict=True)))

    def separated(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        if settings.enhancement:
            return enhanced(
                separator,
                (np.atleast_2d(block) for block in blocks),
                job.channels,
                info.sample_rate,
                settings.enhancement,
                at_model_rate=settings.at_model_rate,
            )
        return separator.stream(
            blocks,
            info.sample_rate,
            at_model_rate=settings.at_model_rate,
            sum_to_mix=settings.sum_to_mix,
            seams=seams,
        )

    try:
        with (
            _overlapped(
                watch(job.blocks(size), -(-info.frames // size) or None), separated, cancelled
            ) as parts,
            writing(
                job.outputs,
                rate,
                kind=settings.kind,
                subtype=settings.subtype,
                frames=round(info.seconds * rate),
                channels=job.channels,
                inspect=draw,
            ) as writer,
        ):
            for part in parts:
                writer.write(part)
    except MemoryError as error:
        raise DeviceError("out of memory: use a shorter --chunk") from error
    return Outcome(
        job.label,
        "done",
        outputs=[str(path) for path in job.written],
        seconds=round(writer.frames / rate, 6),
        sample_rate=rate,
        gain=writer.gain,
        levels=writer.levels,
        seams=seams,
        elapsed=round(time.monotonic() - begun, 3),
    )


@contextmanager
def _overlapped(
    blocks: Iterable[np.ndarray],
    work: Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]],
    cancelled: threading.Event | None,
) -> Iterator[Iterable[np.ndarray]]:
    """What `work` makes of the blocks; reading and work go on in threads of their own."""
    read = Ahead(blocks, cancelled)
    done = Ahead(work(read), cancelled)
    try:
        yield done
    finally:
        # In this order nobody waits for a reader that waits for a slow pipe.
        read.close()
        done.close()
        done.join()
