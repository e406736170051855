"""The few container facts that libsndfile does not tell: promised sizes, and a time stamp."""

from pathlib import Path
from typing import BinaryIO

_PAGE_HEADER = 27
_LONGEST_PAGE = _PAGE_HEADER + 255 + 255 * 255
_STREAMED = 0x7FFF0000


def is_truncated(file: BinaryIO) -> bool:
    """Whether a RIFF or Ogg file ends before the end that it announces; False for other kinds."""
    magic = file.read(4)
    size = file.seek(0, 2)
    if magic == b"RIFF":
        return _riff_truncated(file, size)
    if magic == b"OggS":
        return _ogg_truncated(file, size)
    return False


def _riff_truncated(file: BinaryIO, size: int) -> bool:
    position = 12
    while position + 8 <= size:
        file.seek(position)
        name, length = file.read(4), int.from_bytes(file.read(4), "little")
        if name == b"data":
            # Programs that stream promise 0 or about 2 or 4 GiB; some others, the file's size.
            unknown = length == 0 or length >= _STREAMED or length in (size, size - 8)
            return not unknown and position + 8 + length > size
        position += 8 + length + length % 2
    return True


def _ogg_truncated(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - _LONGEST_PAGE))
    tail = file.read()
    start = tail.rfind(b"OggS")
    if start < 0:
        return False
    page = tail[start:]
    if len(page) < _PAGE_HEADER or len(page) < _PAGE_HEADER + page[26]:
        return True
    segments = page[26]
    body = sum(page[_PAGE_HEADER : _PAGE_HEADER + segments])
    return len(page) < _PAGE_HEADER + segments + body


def clear_timestamp(path: Path) -> None:
    """Zero the time in a float WAV's PEAK chunk, so that equal audio gives equal bytes."""
    with path.open("r+b") as file:
        start = file.read(4096).find(b"PEAK")
        if start > 0:
            file.seek(start + 12)
            file.write(bytes(4))
