"""The recordings that one file holds: joined files are read to their end, not to their first."""

from collections.abc import Iterator
from typing import BinaryIO

from cplxsep.audio import header, mpeg
from cplxsep.audio.window import Part

_FLAC = b"fLaC"
_STREAM_INFO = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")
_PAGE = b"OggS"
_W64 = b"riff"  # libsndfile reads it to the end, whatever it announces
_BLOCK = 1 << 20
# Tags and padding behind the audio are no audio; they are small, or begin so.
SMALL = 1024
TAGS = (b"ID3", b"TAG", b"APETAGEX", bytes(SMALL))


def find(file: BinaryIO, size: int) -> list[Part]:
    """The parts of a file of `size` bytes, in order: one, the whole file, for most."""
    magic = _four(file, 0)
    if magic in header.CONTAINERS or header.promise(file, 0, size):
        return list(_by_promise(file, size))
    starts = [0]
    if magic == b"OggS":
        starts = _ogg_links(file)
    elif magic == b"fLaC":
        starts = [
            at for at in _places(file, _FLAC) if not at or _four(file, at + 4) in _STREAM_INFO
        ]
    elif is_mp3(file) and (found := mpeg.parts(file, size)):
        return found
    return [Part(*ends) for ends in zip(starts, [*starts[1:], size], strict=True)]


def is_mp3(file: BinaryIO) -> bool:
    """Whether a file may be MP3: it begins as a frame does, or with a tag that is not FLAC's."""
    file.seek(0)
    head = file.read(10)
    tag = mpeg.tag_length(head)
    return _four(file, tag) != _FLAC if tag else head[:2] >= b"\xff\xe0"


def _by_promise(file: BinaryIO, size: int) -> Iterator[Part]:
    start = 0
    while told := header.promise(file, start, size):
        if not told.known and told.empty and told.start < min(start + _BLOCK, size):
            file.seek(start)
            head = bytearray(file.read(told.start - start))
            field = told.at - start
            head[field : field + told.width] = told.told(size - told.start)
            yield Part(start, size, bytes(head), len(head), assumed=True)
            return
        if not told.known:  # libsndfile reads to the end
            break
        file.seek(told.rest)
        behind = file.read(SMALL)
        if behind[:4] in header.CONTAINERS or behind[:4] in (b".snd", b"dns.", b"NIST"):
            yield Part(start, told.rest, twice=told.again)
            start = told.rest
            continue
        known = len(behind) < SMALL or behind.startswith(TAGS) or _four(file, start) == _W64
        unread = 0 if known else size - told.rest
        yield Part(start, size, unread=unread, twice=told.again)
        return
    yield Part(start, size)


def _ogg_links(file: BinaryIO) -> list[int]:
    """Where chained Ogg streams begin: with first pages after pages that are none."""
    starts: list[int] = []
    inside = True
    for at in _places(file, _PAGE):
        if _four(file, at + 4)[0]:  # no page: they all have version 0
            continue
        first = bool(_four(file, at + 4)[1] & 2)
        if first and inside:
            starts.append(at)
        inside = not first
    return [0, *starts[1:]]


def _four(file: BinaryIO, at: int) -> bytes:
    """Four bytes, zeros behind the end."""
    file.seek(at)
    return file.read(4).ljust(4, b"\0")


def _places(file: BinaryIO, mark: bytes) -> Iterator[int]:
    """Where a mark stands in a file."""
    begin, data = 0, b""
    while True:
        file.seek(begin)
        data = file.read(_BLOCK + len(mark) - 1)
        at = data.find(mark)
        while at >= 0:
            yield begin + at
            at = data.find(mark, at + 1)
        if len(data) < _BLOCK + len(mark) - 1:
            return
        begin += _BLOCK
