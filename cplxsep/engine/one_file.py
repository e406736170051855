"""Reads, separates and writes one file."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cplxsep.audio.activity import Activity, rttm, shifted
from cplxsep.audio.atomic import check_target, write_text
from cplxsep.audio.level import db
from cplxsep.engine.blocks import Meter, Part
from cplxsep.engine.enhance import Enhancement, enhanced
from cplxsep.engine.finish import with_shares
from cplxsep.engine.job import Job
from cplxsep.engine.outcome import Outcome
from cplxsep.engine.plot import plot
from cplxsep.engine.prefetch import Prefetch
from cplxsep.engine.writing import writing
from cplxsep.errors import DeviceError, InputError

if TYPE_CHECKING:
    from cplxsep.engine.separator import Separator
    from cplxsep.engine.talker_order import Seam

Watch = Callable[[Iterable[np.ndarray], int | None], Iterable[np.ndarray]]


@dataclass(frozen=True)
class Settings:
    """How outputs are written: container, sample type, rate, what they sum to; and enhancement.

    start, duration: seconds, of the part that is worked on. skip_silent: level in dB, less the
    input's, below which an output is not kept.
    """

    kind: str = "wav"
    subtype: str = "float"
    at_model_rate: bool = False
    sum_to_mix: bool = False
    enhancement: Enhancement | None = None
    start: float = 0.0
    duration: float | None = None
    skip_silent: float | None = None


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
    begun, info = time.monotonic(), job.found.info
    part = Part(settings.start, settings.duration)
    heard = part.frames(info.frames, info.sample_rate)
    _check(job, heard)
    runs = separator.at(info.sample_rate)
    rate = runs.rate if settings.at_model_rate else info.sample_rate
    size = max(round((block or runs.seconds(runs.batch)) * info.sample_rate), 1)
    seams: list[Seam] = []

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
            rest=settings.sum_to_mix,
            seams=seams,
        )

    heard_of = Activity(rate) if job.rttm else None
    given = Meter(part.cut(job.blocks(size), info.sample_rate))
    try:
        with (
            writing(
                job.outputs,
                rate,
                kind=settings.kind,
                subtype=settings.subtype,
                frames=round(heard / info.sample_rate * rate),
                channels=job.channels,
                own_tags=info.tags,
                inspect=lambda files: _write_beside(job, files, part, heard_of),
            ) as writer,
            # Begun last: what cannot be written is told before any work.
            _overlapped(watch(given, -(-heard // size) or None), separated, cancelled) as parts,
        ):
            for rows in parts:
                sources = rows[: len(job.outputs)]
                if heard_of:  # before all get a share of what is no talker's, such as an offset
                    heard_of.push(sources)
                writer.write(with_shares(sources, rows[-1]) if settings.sum_to_mix else sources)
            if not writer.frames:
                raise InputError(f"{job.label} has nothing after --start")
    except MemoryError as error:
        raise DeviceError("out of memory: use a shorter --chunk") from error
    # As if nothing had been scaled not to clip.
    level = None if given.level is None else given.level + db(writer.gain)
    silent = _drop_silent(job.outputs, writer.levels, level, settings.skip_silent)
    return Outcome(
        job.label,
        "done",
        outputs=[str(path) for path in job.written if path not in silent],
        seconds=round(writer.frames / rate, 6),
        sample_rate=rate,
        gain=writer.gain,
        input_level=given.level,
        levels=writer.levels,
        silent=[str(path) for path in silent],
        seams=seams,
        elapsed=round(time.monotonic() - begun, 3),
    )


def _check(job: Job, heard: int) -> None:
    """InputError for what would be found out when all is done, and other files replaced."""
    if job.found.info.frames and not heard:
        seconds = f"{job.found.info.seconds:.2f} s"
        raise InputError(f"{job.label} is {seconds} long: nothing is left after --start")
    for path in job.written:
        check_target(path)


def _write_beside(job: Job, sources: Sequence[Path], part: Part, heard_of: Activity | None) -> None:
    """Write what goes with the outputs, from their files and from who was heard when."""
    if job.plot:
        # With {source} as a folder all files have one name: what differs is told, too.
        common = os.path.commonpath([path.parent for path in job.outputs])
        names = [os.path.relpath(path, common) for path in job.outputs]
        plot(job.plot, job.found.path, job.channel, dict(zip(names, sources, strict=True)), part)
    if job.rttm and heard_of:
        spoken = heard_of.segments()
        text = rttm(job.rttm.stem, [shifted(voice, part.start) for voice in spoken])
        write_text(job.rttm, text)


def _drop_silent(
    outputs: Sequence[Path],
    levels: Sequence[float | None],
    heard: float | None,
    most_below: float | None,
) -> list[Path]:
    """Remove the outputs that are further below the input's level than asked for; their paths."""
    if most_below is None:
        return []
    silent = [
        path
        for path, level in zip(outputs, levels, strict=True)
        if level is None or heard is None or level < heard + most_below
    ]
    for path in silent:
        path.unlink(missing_ok=True)
    return silent


@contextmanager
def _overlapped(
    blocks: Iterable[np.ndarray],
    work: Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]],
    cancelled: threading.Event | None,
) -> Iterator[Iterable[np.ndarray]]:
    """What `work` makes of the blocks; reading and work go on in threads of their own."""
    read = Prefetch(blocks, cancelled)
    done = Prefetch(work(read), cancelled)
    try:
        yield done
    finally:
        # In this order nobody waits for a reader that waits for a slow pipe.
        read.close()
        done.close()
        done.join()
