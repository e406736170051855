"""Ctrl-C and SIGTERM as a wish to stop, granted when the step that is running is done."""

import signal
import threading
import time
from types import FrameType
from typing import Any

from cplxsep.errors import CplxsepError
from cplxsep.interrupts import INTERRUPTS

# `timeout` and terminals may send one wish twice.
_SAME_WISH = 2.0  # seconds


class Stopped(CplxsepError):  # noqa: N818 - no error
    """A run was asked to stop and did; its checkpoint is written."""

    exit_code = 130


class StopSignals:
    """While entered, notes SIGINT and SIGTERM instead of ending the process.

    A second signal some seconds later ends it at once, as it would have before, unless
    `ignore_second`: among several processes one must not leave the others alone. One that an error
    ends then goes on to take no notice, to tell of it: torchrun signals as soon as another ended.
    """

    def __init__(self, *, ignore_second: bool = False) -> None:
        self.name = ""  # of the signal that came
        self._ignore_second = ignore_second
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in INTERRUPTS}
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_: object) -> None:
        if self._ignore_second and kind is not None:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def __call__(self) -> bool:
        """Whether a signal came."""
        return bool(self.name)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.name:
            self.name, self._since = signal.Signals(number).name, now
        elif not self._ignore_second and now - self._since > _SAME_WISH:
            self.__exit__()
            signal.raise_signal(number)
