"""What runs on a node of the cluster."""

import importlib
import os
import platform
import threading
import time
import warnings
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from cplxsep.errors import CplxsepError, Note
from cplxsep.version import own_version

LATE = 5.0
"""Seconds after which a network file system tells of what is new."""


class Worker:
    """What runs on a node."""

    def __init__(self) -> None:
        self._owner: tuple[str, Any] = ("", None)
        self._lock = threading.Lock()
        self._notes: deque[str] = deque()
        warnings.simplefilter("always", Note)
        warnings.showwarning = self._hear  # type: ignore[assignment]

    def greet(self, folder: str, shared: Path | None, release: str) -> str | None:
        """Make ready; what keeps this node from being of use."""
        node = f"node {platform.node()}"
        if (own := own_version()) != release:
            return f"{node} has cplxsep {own}, not {release}"
        try:
            os.chdir(folder)
        except OSError as error:
            return f"{node} does not see the folder {folder}: {error.strerror}"
        until = time.monotonic() + LATE
        while shared is not None and not shared.exists():
            if time.monotonic() > until:
                return f"{node} does not see what is written to {shared.parent}: use shared storage"
            time.sleep(0.2)
        return None

    def work(self, owner: list[Any], method: str, item: Any) -> tuple[Any, Any, list[str]]:
        """The result, or the error meant for people, and the notes."""
        ray = importlib.import_module("ray")
        with self._lock:
            if self._owner[0] != owner[0].hex():
                self._owner = "", None  # its memory is needed
                self._owner = owner[0].hex(), ray.get(owner[0])
            known = self._owner[1]
        result = error = None
        try:
            result = getattr(known, method)(item)
        except CplxsepError as found:
            error = found
        notes = []
        with suppress(IndexError):
            while True:
                notes.append(self._notes.popleft())
        return result, error, notes

    def _hear(self, message: Warning | str, category: type[Warning], *_: object) -> None:
        if issubclass(category, Note):
            self._notes.append(str(message))
