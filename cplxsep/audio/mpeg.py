"""MP3: where its frames are, and which of them begin a recording.

libsndfile believes the first frame's table of contents, or guesses the length from the size of
the file: of recordings joined to one file, or with a changing bitrate and no such table, it reads
less than there is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from cplxsep.audio.window import Part

_KBIT = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_HEAD = 4
_PEEK = 64  # bytes of a frame that hold the beginning of its table
_BLOCK = 1 << 16
_ID3V1 = 128
_TAG_HEAD = 10
_ORDINARY = 0x90  # a bitrate whose frames have room for a table


@dataclass(frozen=True)
class _Frame:
    """A frame of layer III; kind: what all frames of a recording share.

    table: the position of its table of contents, 0 without one. frames, length: in that, of the
    recording, 0 where it does not tell; the frames are without this one.
    """

    start: int
    size: int
    kind: tuple[int, int, bool]
    head: bytes
    table: int = 0
    frames: int = 0
    length: int = 0

    @property
    def end(self) -> int:
        return self.start + self.size


def parts(file: BinaryIO, size: int) -> list[Part]:
    """The recordings of an MP3 file of `size` bytes; none where there are no frames of layer III.

    Those that do not tell their number of frames get a table that does.
    """
    first = next(_frames(file, 0, size), None)
    if first is None:
        return []
    if first.frames and first.start + first.length in (size, size - _ID3V1):
        return [Part(0, size)]
    found: list[Part] = []
    run: list[_Frame] = []  # the first and the last frame
    count = 0

    def ended(at: int) -> None:
        start = run[0].start if found else 0
        if run[0].frames:
            found.append(Part(start, at))
        else:
            # In its place one that tells the number.
            start = run[0].end if run[0].table else run[0].start
            if count:
                found.append(Part(start, at, _with_table(run[0].head, count)))

    for frame in _frames(file, first.start, size):
        told = run[0].frames if run else 0
        if run and (frame.table or frame.kind != run[0].kind or (told and count == told)):
            ended(run[-1].end)
            run, count = [], 0
        count += not frame.table and frame.end <= size  # a cut frame cannot be decoded
        run = [run[0] if run else frame, frame]
    ended(size)
    return found


def tag_length(data: bytes) -> int:
    """Bytes of the ID3v2 tag that data begin with; 0 where they do not."""
    if not data.startswith(b"ID3") or len(data) < _TAG_HEAD:
        return 0
    return _TAG_HEAD + sum((data[6 + place] & 127) << (21 - 7 * place) for place in range(4))


def _with_table(head: bytes, frames: int) -> bytes:
    """An empty frame like another, with a table that tells the number of frames."""
    # Without check sum and padding.
    frame = _parse(bytes([head[0], head[1] | 1, _ORDINARY | (head[2] & 0x0C), head[3]]), 0)
    assert frame is not None
    body = bytes(_table_place(frame.head) - _HEAD) + b"Info\0\0\0\1" + frames.to_bytes(4, "big")
    return (frame.head + body).ljust(frame.size, b"\0")


def _frames(file: BinaryIO, at: int, end: int) -> Iterator[_Frame]:
    """Frames from a position on; what lies between, as tags, is passed over."""
    frame = None
    while at + _HEAD <= end:
        file.seek(at)
        data = file.read(_PEEK)
        if length := tag_length(data):
            at += length
            frame = None
            continue
        known, frame = frame, _parse(data, at)
        # The first of its kind must have another behind it: any two bytes may look like one.
        if frame is None or (
            (known is None or known.kind != frame.kind) and not _is_followed(file, frame, end)
        ):
            frame = None
            # A frame that was cut off by what follows ends before its end.
            at = _next_mark(file, known.start + _HEAD if known else at + 1, end)
            continue
        yield frame
        at = frame.end


def _next_mark(file: BinaryIO, at: int, end: int) -> int:
    """Where the next frame or tag could begin, from a position on; `end` where none does."""
    while at < end:
        file.seek(at)
        block = file.read(_BLOCK + 2)
        places = [found for mark in (b"\xff", b"ID3") if (found := block.find(mark)) >= 0]
        if places:
            return at + min(places)
        at += _BLOCK
    return end


def _is_followed(file: BinaryIO, frame: _Frame, end: int) -> bool:
    file.seek(frame.end)
    following = _parse(file.read(_HEAD), frame.end)
    return frame.end >= end or (following is not None and following.kind == frame.kind)


def _parse(data: bytes, start: int) -> _Frame | None:
    if len(data) < _HEAD or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:
        return None
    version, rate = data[1] >> 3 & 3, data[2] >> 2 & 3
    bitrate = data[2] >> 4
    if version == 1 or rate == 3 or bitrate in (0, 15):
        return None
    slots = 144_000 if version == 3 else 72_000
    size = slots * _KBIT[version == 3][bitrate] // _RATES[version][rate] + (data[2] >> 1 & 1)
    kind = (version, rate, data[3] >> 6 == 3)
    return _Frame(start, size, kind, data[:_HEAD], *_table(data))


def _table_place(head: bytes) -> int:
    """Where a frame has its table, if it has one: behind what describes the audio."""
    mono, newer = head[3] >> 6 == 3, head[1] >> 3 & 3 != 3
    check = 0 if head[1] & 1 else 2
    return _HEAD + check + ((9 if mono else 17) if newer else (17 if mono else 32))


def _table(data: bytes) -> tuple[int, int, int]:
    """Position of the table, the frames and the bytes that it tells; zeros where there is none."""
    place = _table_place(data)
    for at in {place, place - (0 if data[1] & 1 else 2)}:
        if data[at : at + 4] in (b"Xing", b"Info"):
            flags = int.from_bytes(data[at + 4 : at + 8], "big")
            fields = [int.from_bytes(data[at + 8 + n : at + 12 + n], "big") for n in (0, 4)]
            frames = fields[0] if flags & 1 else 0
            length = fields[flags & 1] if flags & 2 else 0
            return at, frames, length
    if data[36:40] == b"VBRI":
        length, frames = (int.from_bytes(data[at : at + 4], "big") for at in (46, 50))
        return 36, frames, length
    return 0, 0, 0
