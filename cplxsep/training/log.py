"""What a run reports: decoding before it, JSON lines, curves, TensorBoard, a live line on a
terminal, and a table at its end.
"""

import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn, track
from rich.progress import Progress as Bar
from torch import nn

from cplxsep.data.cache import Making
from cplxsep.errors import InputError
from cplxsep.report import table
from cplxsep.training import curves
from cplxsep.training.progress import Progress
from cplxsep.training.validate import Quality

EVERY = 20  # steps between lines of the file
SHORT = 600.0  # seconds of audio that are decoded before anybody wonders
LOG, CURVES, BOARD = "log.jsonl", "curves.png", "tensorboard"  # in the folder of a run


class Log:
    """Log of one run; a resumed run appends.

    Args:
        folder: of the run; None writes nothing, for processes that are not the first.
        console: live progress goes here; None for none.
        say: takes one line at each validation.
        total, done: steps of the whole run, and of them those before this piece.

    Raises:
        InputError: a file cannot be written, now or later.
    """

    def __init__(
        self,
        folder: Path | None,
        console: Console | None,
        say: Callable[[str], None],
        total: int,
        done: int = 0,
    ) -> None:
        self._folder = folder
        self._file = None
        if folder is not None:
            self._board = Board(folder)
            self._path = folder / LOG
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise InputError(f"cannot write {self._path}: {error.strerror}") from None
        self._say = say
        self._losses: list[float] = []
        self._bar = Bar(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=console is None,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total, completed=done)
        self._score = ""

    def __enter__(self) -> "Log":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        with suppress(OSError):  # what could not be flushed was reported when it was written
            if self._file is not None:
                self._file.close()
                self._board.close()

    def note(self, text: str) -> None:
        """Say one line."""
        self._say(text)

    def step(self, progress: Progress, loss: float, norm: float, lr: float) -> None:
        """One training step, the last that `progress` counts."""
        if math.isfinite(loss):
            self._losses.append(loss)
        recent = sum(self._losses) / len(self._losses) if self._losses else math.nan
        text = f"loss {recent:7.2f}  {progress.speed:5.1f} s audio/s{self._score}"
        self._bar.update(self._task, completed=progress.step, description=text)
        if progress.step % EVERY == 0:
            self._write(progress, loss=recent, grad_norm=norm, lr=lr)
            self._losses.clear()

    def validation(self, progress: Progress, quality: Quality, what: str = "") -> None:
        """Validation result; `what` was validated if not the run's weights."""
        values = {"si_sdr_i": quality.si_sdr_i, "isolation": quality.isolation}
        self._write(
            progress,
            **{
                f"{'average' if what else 'valid'}_{name}": value
                for name, value in values.items()
                if value is not None
            },
        )
        if not what and self._folder is not None:
            curves.draw(self._path, self._folder / CURVES)
        self._score = f"  valid {quality.si_sdr_i:5.2f} dB"
        lone = quality.isolation
        apart = "" if lone is None else f", a lone talker {lone:.1f} dB down in the other outputs,"
        gain = f"valid SI-SDR improvement {quality.si_sdr_i:.2f} dB"
        self._say(
            f"step {progress.step}{what and ', '}{what}: {gain}{apart} after "
            f"{progress.audio / 3600:.2f} h of audio, {progress.busy / 60:.1f} min"
        )

    def _write(self, progress: Progress, **figures: float) -> None:
        if self._file is None:
            return
        values = figures | {"audio_seconds": progress.audio, "seconds": progress.busy}
        self._board.add(progress.step, values)
        rounded = {"step": progress.step} | {
            # JSON has no NaN.
            key: (round(value, 6) if math.isfinite(value) else None)
            for key, value in values.items()
        }
        try:
            self._file.write(json.dumps({**rounded, "time": round(time.time(), 1)}) + "\n")
            self._file.flush()
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror}") from None


class Board:
    """Event file in a run's folder; nothing where TensorBoard is not installed.

    Nor in a folder whose name is no valid text, which TensorBoard cannot open.
    """

    def __init__(self, run: Path) -> None:
        self._writer: Any = None
        self._folder = run / BOARD
        valid_name = not re.search("[\ud800-\udfff]", str(run))
        self._here = valid_name and find_spec("tensorboard") is not None

    def add(self, step: int, values: dict[str, float]) -> None:
        """Figures of one step. Raises InputError when the disk is full."""
        if not self._here:
            return
        try:
            if self._writer is None:
                from torch.utils.tensorboard import SummaryWriter

                # What a stopped run wrote beyond its last checkpoint is not shown twice.
                self._writer = SummaryWriter(self._folder, purge_step=step)
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        except OSError as error:
            raise InputError(f"cannot write {self._folder}: {error.strerror}") from None

    def close(self) -> None:
        """Write what is left. Raises OSError when the disk is full."""
        if self._writer is not None:
            self._writer.close()


def result_table(progress: Progress, network: nn.Module, folder: Path, model: Path) -> str:
    """A table of a finished run, and what to do with its model."""
    sound = [(score, step) for step, score in progress.history if math.isfinite(score)]
    best = max(sound, default=progress.piece[::-1], key=lambda item: item[0])
    score = progress.best if math.isfinite(progress.best) else best[0]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    bad = f", {progress.bad_steps} of them not finite and left out" if progress.bad_steps else ""
    rows = [
        ["valid SI-SDR improvement", f"{score:.2f} dB"],
        ["best single validation", f"{best[0]:.2f} dB at step {best[1]}"],
        ["steps", f"{progress.step}{bad}"],
        ["audio", f"{progress.audio / 3600:.2f} h"],
        ["time", f"{progress.busy / 60:.1f} min"],
        ["speed", f"{progress.speed:.1f} s of audio a second"],
        ["parameters", f"{parameters:,}"],
        ["curves", str(folder / CURVES)],
    ]
    use = "enhance" if getattr(network, "sources", 2) == 1 else "separate"
    return f"{table(['', 'result'], rows)}\ncplxsep {use} -m {model} FILES"


def reported(
    console: Console | None, say: Callable[[str], None]
) -> Callable[[Iterable[Any], Making], Iterator[Any]]:
    """What `cache.watched` takes: a line before, and a bar where there is a console."""

    def watch(results: Iterable[Any], making: Making) -> Iterator[Any]:
        if making.seconds < SHORT:
            yield from results
            return
        say(
            f"decoding {making.recordings} recordings ({making.seconds / 3600:.1f} h), once, into "
            f"{making.path.parent}: {making.size / 1e6:.0f} MB"
        )
        yield from track(
            results,
            "decoding",
            total=making.recordings,
            console=console,
            transient=True,
            disable=console is None,
        )

    return watch
