"""What the MP3 decoder writes on standard error by itself: caught, and told in one line."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cplxsep.errors import tell

_STDERR = 2
# The descriptor belongs to the process: one decoder at a time may have it.
_lock = threading.Lock()


class Complaints:
    """Of one file; told once, where audio is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told = False

    @contextmanager
    def heard(self, is_mp3: bool) -> Iterator[None]:
        """While a decoder works; other decoders than that of MP3 say nothing."""
        if not is_mp3:
            yield
            return
        with _lock, tempfile.TemporaryFile() as caught:
            try:
                kept = os.dup(_STDERR)
            except OSError:  # there is no standard error
                yield
                return
            try:
                os.dup2(caught.fileno(), _STDERR)
                yield
            finally:
                os.dup2(kept, _STDERR)
                os.close(kept)
            caught.seek(0)
            damaged = b"error: " in caught.read(1 << 16)
        if damaged and not self._told:
            self._told = True
            tell(f"{self._path} is damaged: parts may be missing")
