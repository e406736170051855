"""The few container facts that libsndfile does not tell: promised sizes, and a time stamp."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

_PAGE_HEADER = 27
_LONGEST_PAGE = _PAGE_HEADER + 255 + 255 * 255


@dataclass(frozen=True)
class _Chunks:
    """How a container lays out its chunks; sizes in bytes.

    first: position of the first chunk. name, length: sizes of these two fields. align: of the
    next chunk. whole: the length counts the two fields too.
    """

    first: int = 12
    name: int = 4
    length: int = 4
    order: Literal["little", "big"] = "little"
    align: int = 2
    whole: bool = False


_CONTAINERS = {
    b"RIFF": _Chunks(),
    b"RIFX": _Chunks(order="big"),
    b"RF64": _Chunks(),
    b"FORM": _Chunks(order="big"),
    b"riff": _Chunks(first=40, name=16, length=8, align=8, whole=True),  # W64
    b"caff": _Chunks(first=8, length=8, order="big", align=1),
}
_AUDIO = (b"data", b"SSND", b"BODY")


def is_truncated(file: BinaryIO) -> bool:
    """Whether a file ends before the end that it announces.

    Knows RIFF, RF64, W64, AIFF, CAF, AU, SPH and Ogg; False for other kinds.
    """
    magic = file.read(4)
    size = file.seek(0, 2)
    if magic in _CONTAINERS:
        return _chunks_truncated(file, size, _CONTAINERS[magic])
    if magic == b"OggS":
        return _ogg_truncated(file, size)
    if magic in (b".snd", b"dns."):
        return _au_truncated(file, size, "big" if magic == b".snd" else "little")
    if magic == b"NIST":
        return _sph_truncated(file, size)
    return False


def _chunks_truncated(file: BinaryIO, size: int, layout: _Chunks) -> bool:
    head = layout.name + layout.length
    position, wide = layout.first, 0
    while position + head <= size:
        file.seek(position)
        name = file.read(layout.name)[:4]
        length = int.from_bytes(file.read(layout.length), layout.order)
        if layout.whole:
            length = max(length - head, 0)
        if name in _AUDIO:
            if wide and length == 0xFFFFFFFF:
                length = wide
            # Some programs promise the size of the whole file.
            unknown = is_unknown(length) or length in (size, size - 8)
            return not unknown and position + head + length > size
        if name == b"ds64":
            wide = int.from_bytes(file.read(16)[8:], "little")
        position += -(-(head + length) // layout.align) * layout.align
    return True


def _au_truncated(file: BinaryIO, size: int, order: Literal["little", "big"]) -> bool:
    file.seek(4)
    start, length = (int.from_bytes(file.read(4), order) for _ in range(2))
    return not is_unknown(length) and start + length > size


def _sph_truncated(file: BinaryIO, size: int) -> bool:
    file.seek(8)
    start = file.read(8).strip()
    words = [line.split() for line in file.read(1024).splitlines()]
    fields = {line[0]: line[2] for line in words if len(line) == 3}
    length = 1
    for key in (b"sample_count", b"channel_count", b"sample_n_bytes"):
        if not (start.isdigit() and fields.get(key, b"").isdigit()):
            return False
        length *= int(fields[key])
    return int(start) + length > size


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
