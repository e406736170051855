"""What the MP3 decoder writes on standard error by itself: caught, and told in one line."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from cplxsep.errors import tell

_STDERR = 2


class _Ear:
    """Standard error while MP3 is decoded; it belongs to the process, so files share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decoding = 0
        self._paths: set[Path] = set()
        self._caught: BinaryIO | None = None
        self._kept = -1

    def open(self, path: Path) -> None:
        """Listen to the decoder of a file."""
        with self._lock:
            if not self._decoding:
                self._catch()
            self._decoding += 1
            self._paths.add(path)

    def close(self) -> None:
        """One decoder less; with the last standard error is given back."""
        with self._lock:
            self._decoding -= 1
            if self._decoding:
                return
            damaged, paths = self._release(), self._paths
            self._paths = set()
        if damaged:
            which = min(paths) if len(paths) == 1 else f"one of {len(paths)} MP3 files read at once"
            tell(f"{which} is damaged: parts may be missing")

    def _catch(self) -> None:
        try:
            self._caught = tempfile.TemporaryFile()  # noqa: SIM115
        except OSError:  # no place for it, then it is not known what was said
            self._caught = open(os.devnull, "r+b")  # noqa: SIM115
        try:
            self._kept = os.dup(_STDERR)
            os.dup2(self._caught.fileno(), _STDERR)
        except OSError:  # there is no standard error
            self._kept = -1

    def _release(self) -> bool:
        """Whether the decoder found faults: its other remarks are of tags and the like."""
        assert self._caught is not None
        if self._kept >= 0:
            os.dup2(self._kept, _STDERR)
            os.close(self._kept)
        with self._caught as caught:
            caught.seek(0)
            return b"error: " in caught.read(1 << 16)


_ear = _Ear()


@contextmanager
def heard(path: Path, is_mp3: bool) -> Iterator[None]:
    """While a file is decoded; other decoders than that of MP3 say nothing."""
    if not is_mp3:
        yield
        return
    _ear.open(path)
    try:
        yield
    finally:
        _ear.close()
