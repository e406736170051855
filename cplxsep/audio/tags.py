"""Title, artist and so on: what a recording is called stays with what is made of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NAMES = ("title", "artist", "album", "tracknumber", "date", "genre", "comment", "copyright")
_IDS = ("TIT2", "TPE1", "TALB", "TRCK", "TYER", "TCON", "COMM", "TCOP")  # of ID3, in that order
_BLOCK = 1 << 20


def read(file: Any) -> dict[str, str]:
    """Those that an open `soundfile.SoundFile` has."""
    return {name: text for name in _NAMES if (text := getattr(file, name))}


def write(file: Any, tags: Mapping[str, str]) -> None:
    """Give them to one open for writing, before its samples; containers keep what they can."""
    for name, text in tags.items():
        setattr(file, name, text)


def prepend(path: Path, tags: Mapping[str, str]) -> None:
    """Give them to a finished MP3. OSError.

    As ID3v2.3 in UTF-16, which all players read; libsndfile writes UTF-8 and calls it Latin-1.
    """
    tag = _id3(tags) if tags else b""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        for first in reversed(range(0, size if tag else 0, _BLOCK)):
            file.seek(first)
            block = file.read(_BLOCK)
            file.seek(first + len(tag))
            file.write(block)
        file.seek(0)
        file.write(tag)


def _id3(tags: Mapping[str, str]) -> bytes:
    frames, ids = b"", dict(zip(_NAMES, _IDS, strict=True))
    for name, text in tags.items():
        body = text.encode("utf-16")
        if name == "comment":  # which has a language and a title of its own
            body = b"und" + "\0".encode("utf-16") + body
        body = b"\1" + body
        frames += ids[name].encode() + len(body).to_bytes(4, "big") + b"\0\0" + body
    size = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + size + frames
