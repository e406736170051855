"""What a run tells: one JSON object a line, curves, TensorBoard, and a live line on a terminal."""

import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cplxsep.errors import InputError
from cplxsep.training import curves
from cplxsep.training.board import Board
from cplxsep.training.validate import Quality

EVERY = 20  # steps between lines of the file
LOG, CURVES = "log.jsonl", "curves.png"


class Log:
    """Log of one run; a resumed run appends.

    Args:
        folder: of the run; None writes nothing, for processes that are not the first.
        console: live progress goes here; None for none.
        total: steps of the whole run.
        say: takes one line at each validation.

    Raises:
        InputError: a file cannot be written, now or later.
    """

    def __init__(
        self, folder: Path | None, console: Console | None, total: int, say: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._board = Board(folder)
        self._file = None
        if folder is not None:
            self._path = folder / LOG
            try:
                folder.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("a", encoding="utf-8")
            except OSError as error:
                raise InputError(f"cannot write {self._path}: {error.strerror}") from None
        self._say = say
        self._losses: list[float] = []
        self._bar = Progress(
            TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=console,
            disable=console is None,
            transient=True,
        )
        self._task = self._bar.add_task("", total=total)
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

    def begin(self, step: int) -> None:
        """Where a resumed run goes on, for the bar to begin there."""
        self._bar.reset(self._task, completed=step)

    def step(
        self, step: int, loss: float, norm: float, lr: float, audio: float, busy: float
    ) -> None:
        """One training step; audio and busy are totals in seconds."""
        if math.isfinite(loss):
            self._losses.append(loss)
        rate = audio / max(busy, 1e-9)
        recent = sum(self._losses) / len(self._losses) if self._losses else math.nan
        text = f"loss {recent:7.2f}  {rate:5.1f} s audio/s{self._score}"
        self._bar.update(self._task, completed=step, description=text)
        if step % EVERY == 0:
            self._write(
                step=step, loss=recent, grad_norm=norm, lr=lr, audio_seconds=audio, seconds=busy
            )
            self._losses.clear()

    def validation(
        self, step: int, quality: Quality, audio: float, busy: float, what: str = ""
    ) -> None:
        """Validation result; `what` was validated if not the run's weights."""
        values = {"si_sdr_i": quality.si_sdr_i, "isolation": quality.isolation}
        self._write(
            step=step,
            **{
                f"{'average' if what else 'valid'}_{name}": value
                for name, value in values.items()
                if value is not None
            },
            audio_seconds=audio,
            seconds=busy,
        )
        if not what and self._folder is not None:
            curves.draw(self._path, self._folder / CURVES)
        self._score = f"  valid {quality.si_sdr_i:5.2f} dB"
        lone = quality.isolation
        apart = "" if lone is None else f", a lone talker {lone:.1f} dB down in the other outputs,"
        self._say(
            f"step {step}{what and ', '}{what}: valid SI-SDR improvement {quality.si_sdr_i:.2f} dB"
            f"{apart} after {audio / 3600:.2f} h of audio, {busy / 60:.1f} min"
        )

    def _write(self, **values: Any) -> None:
        if self._file is None:
            return
        self._board.add(**values)
        rounded = {
            # JSON has no NaN.
            key: (round(value, 6) if math.isfinite(value) else None)
            for key, value in values.items()
        }
        try:
            self._file.write(json.dumps({**rounded, "time": round(time.time(), 1)}) + "\n")
            self._file.flush()
        except OSError as error:
            raise InputError(f"cannot write {self._path}: {error.strerror}") from None
