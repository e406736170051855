"""A part of a file as a file of its own, and with another beginning where its own misleads."""

import io
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True)
class Part:
    """The bytes of one recording in a file, from `start` to `end`.

    head: stands in place of the first `covered` bytes.
    assumed: whether the header gives no length and the audio is taken to go on to the end.
    unread: bytes after the announced audio that are neither audio nor anything known.
    twice: whether the header announces audio twice.
    """

    start: int
    end: int
    head: bytes = b""
    covered: int = 0
    assumed: bool = False
    unread: int = 0
    twice: bool = False


class Window(io.RawIOBase):
    """What is to be seen of an open file through a part; several may share the file, in turn."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file = file
        self._part = part
        self._skip = part.start + part.covered - len(part.head)
        self._size = part.end - self._skip
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(base + offset, 0)
        return self._at

    def readinto(self, buffer: "memoryview | bytearray", /) -> int:  # type: ignore[override]
        head = self._part.head
        wanted = min(len(buffer), max(self._size - self._at, 0))
        if self._at < len(head):
            data = head[self._at : self._at + wanted]
        else:
            try:
                self._file.seek(self._skip + self._at)
                data = self._file.read(wanted)
            except OSError:  # libsndfile's callback can only tell that nothing came
                data = b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
