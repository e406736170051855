"""The few container facts that libsndfile does not tell: promised sizes, and a time stamp."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

_PAGE_HEADER = 27
_LONGEST_PAGE = _PAGE_HEADER + 255 + 255 * 255
Order = Literal["little", "big"]


@dataclass(frozen=True)
class _Chunks:
    """How a container lays out its chunks; sizes in bytes.

    first: position of the first chunk. name, length: sizes of these two fields. align: of the
    next chunk. whole: the length counts the two fields too. ahead: what is in the audio's chunk
    ahead of the samples.
    """

    first: int = 12
    name: int = 4
    length: int = 4
    order: Order = "little"
    align: int = 2
    whole: bool = False
    ahead: int = 0


@dataclass(frozen=True)
class Promise:
    """What a header says of its audio: it lies in the bytes from `start` to `end` of the file.

    known: whether the header tells a length at all; `end` is that of the file where not.
    empty: whether it says 0, as of a recorder that was cut off.
    at, width, order: the field that tells it, a number that counts `more` beside the audio.
    rest: where bytes begin that no header explains. again: whether it announces audio twice.
    """

    start: int
    end: int
    known: bool
    rest: int
    at: int
    width: int
    order: Order
    more: int = 0
    empty: bool = False
    again: bool = False

    def told(self, length: int) -> bytes:
        """The field as it would be for audio of so many bytes."""
        most = (1 << 8 * self.width) - 1
        return min(length + self.more, most).to_bytes(self.width, self.order)


CONTAINERS = {
    b"RIFF": _Chunks(),
    b"RIFX": _Chunks(order="big"),
    b"RF64": _Chunks(),
    b"FORM": _Chunks(order="big", ahead=8),
    b"riff": _Chunks(first=40, name=16, length=8, align=8, whole=True),  # W64
    b"caff": _Chunks(first=8, length=8, order="big", align=1, ahead=4),
}
_AUDIO = (b"data", b"SSND", b"BODY")


def promise(file: BinaryIO, begin: int, size: int) -> Promise | None:
    """What the header at a position of a file of `size` bytes promises.

    Knows RIFF, RF64, W64, AIFF, CAF, AU and SPH; None for other kinds, or where it has no audio.
    """
    file.seek(begin)
    magic = file.read(4)
    if magic in CONTAINERS:
        found = _audio_chunk(file, begin, size, CONTAINERS[magic])
        return None if found is None else _followed(file, found, size, CONTAINERS[magic])
    if magic in (b".snd", b"dns."):
        return _promised_au(file, begin, size, "big" if magic == b".snd" else "little")
    if magic == b"NIST":
        return _promised_sph(file, begin)
    return None


def is_truncated(file: BinaryIO, begin: int, size: int) -> bool:
    """Whether the recording at a position ends, with the file's `size` bytes, before it should.

    Knows what `promise` does, and Ogg; False for other kinds.
    """
    file.seek(begin)
    magic = file.read(4)
    if magic == b"OggS":
        return _ogg_truncated(file, begin, size)
    told = promise(file, begin, size)
    return magic in CONTAINERS if told is None else told.known and told.end > size


def _chunk(file: BinaryIO, position: int, layout: _Chunks) -> tuple[bytes, int]:
    """Name and length of the chunk at a position."""
    file.seek(position)
    name = file.read(layout.name)[:4]
    length = int.from_bytes(file.read(layout.length), layout.order)
    return name, max(length - layout.name - layout.length, 0) if layout.whole else length


def _audio_chunk(file: BinaryIO, begin: int, size: int, layout: _Chunks) -> Promise | None:
    head = layout.name + layout.length
    position, wide, wide_at = begin + layout.first, 0, 0
    while position + head <= size:
        name, length = _chunk(file, position, layout)
        start = position + head
        if name in _AUDIO:
            at, width, more = position + layout.name, layout.length, head if layout.whole else 0
            if wide_at and length == 0xFFFFFFFF:
                length, at, width = wide, wide_at, 8
            if name != b"BODY":  # that of 8SVX holds samples only, in the container of AIFF
                start, more = start + layout.ahead, more + layout.ahead
                length = max(length - layout.ahead, 0)
            # Some programs promise the size of the whole file.
            known = not is_unknown(length) and length not in (size - begin, size - begin - 8)
            end = start + length if known else size
            return Promise(start, end, known, end, at, width, layout.order, more, not length)
        if name == b"ds64":
            wide_at = start + 8
            file.seek(wide_at)
            wide = int.from_bytes(file.read(8), "little")
        position += -(-(head + length) // layout.align) * layout.align
    return None


def _followed(file: BinaryIO, found: Promise, size: int, layout: _Chunks) -> Promise:
    """The promise with what comes behind the audio: chunks, as far as there are any."""
    if not found.known and not found.empty:
        return found
    head = layout.name + layout.length
    end = found.end if found.known else found.start
    while end < size:
        for position in {end + -end % layout.align: None, end: None}:  # not all programs align
            name, length = _chunk(file, position, layout)
            if name in CONTAINERS:
                return replace(found, rest=position)
            after = position + head + length
            if is_name(name) and position + head <= after <= size + 1:
                break
        else:
            break
        if name in _AUDIO:
            found = replace(found, again=True)
        end = after
    rest = min(end + -end % layout.align, size)
    if not found.known and rest >= size:  # nothing but chunks: no audio after all
        return replace(found, end=found.start, known=True, rest=size)
    return replace(found, rest=rest)


def _promised_au(file: BinaryIO, begin: int, size: int, order: Order) -> Promise:
    start, length = (int.from_bytes(file.read(4), order) for _ in range(2))
    start += begin
    known = not is_unknown(length)
    end = start + length if known else size
    return Promise(start, end, known, end, begin + 8, 4, order, empty=not length)


def _promised_sph(file: BinaryIO, begin: int) -> Promise | None:
    file.seek(begin + 8)
    start = file.read(8).strip()
    words = [line.split() for line in file.read(1024).splitlines()]
    fields = {line[0]: line[2] for line in words if len(line) == 3}
    length = 1
    for key in (b"sample_count", b"channel_count", b"sample_n_bytes"):
        if not (start.isdigit() and fields.get(key, b"").isdigit()):
            return None
        length *= int(fields[key])
    first = begin + int(start)
    return Promise(first, first + length, True, first + length, 0, 0, "little")


def is_name(four: bytes) -> bool:
    """Whether these may be the name of a chunk."""
    return four.isascii() and four.decode().isprintable()


def is_unknown(length: int) -> bool:
    """Whether a length in bytes is no promise.

    Programs that stream promise nothing, about 2 or 4 GiB, or the most that there can be.
    """
    return (
        length == 0
        or 0x7EFF0000 <= length < 0x80010000
        or 0xFFFF0000 <= length <= 0xFFFFFFFF
        or length >= 1 << 62
    )


def _ogg_truncated(file: BinaryIO, begin: int, size: int) -> bool:
    file.seek(max(begin, size - _LONGEST_PAGE))
    tail = file.read(size - file.tell())
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
