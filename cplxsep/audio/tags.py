"""Title, artist and so on: what a recording is called stays with what is made of it."""

from collections.abc import Mapping
from typing import Any

_NAMES = ("title", "artist", "album", "tracknumber", "date", "genre", "comment", "copyright")


def read(file: Any) -> dict[str, str]:
    """Those that an open `soundfile.SoundFile` has."""
    return {name: text for name in _NAMES if (text := getattr(file, name))}


def write(file: Any, tags: Mapping[str, str]) -> None:
    """Give them to one open for writing, before its samples; containers keep what they can."""
    for name, text in tags.items():
        setattr(file, name, text)
