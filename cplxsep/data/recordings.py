"""Which recordings are fit for mixing: no copies of others, not silent, clipped or too short."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cplxsep.data.cache import decode
from cplxsep.data.manifest import Utterance
from cplxsep.errors import InputError

SHORTEST_SECONDS = 0.25
# A file is clipped where more of its samples than this are at full scale, in any channel.
CLIPPED_SHARE = 1e-3
_FULL_SCALE = 32767 / 32768
_BLOCK = 1 << 16
# A recording shorter than this share of the length that is listed is taken for another.
_LEAST_LENGTH = 0.9


def usable(path: Path, sample_rate: int) -> np.ndarray:
    """Read as mono float32 (S,). InputError: unreadable, NaN, silent, clipped or too short."""
    audio = decode(path, sample_rate, lambda raw: check_clipping(path, raw))
    if len(audio) < SHORTEST_SECONDS * sample_rate:
        raise InputError(f"{path} is shorter than {SHORTEST_SECONDS} s")
    return audio


def usable_speech(item: Utterance, sample_rate: int) -> np.ndarray:
    """Read as `usable`. InputError also where it is much shorter than its manifest says."""
    audio = usable(item.path, sample_rate)
    seconds = len(audio) / sample_rate
    if seconds < _LEAST_LENGTH * item.seconds - SHORTEST_SECONDS:
        raise InputError(f"{item.path} has {seconds:.1f} s, not {item.seconds:.1f} as is listed")
    return audio


def check_clipping(path: Path, audio: np.ndarray) -> None:
    """InputError where a channel of (channels, S) has too many samples at full scale."""
    share = float(np.mean(np.abs(audio) >= _FULL_SCALE, axis=-1).max())
    if share > CLIPPED_SHARE:
        raise InputError(f"{path} is clipped: {share:.1%} of its samples are at full scale")


def without_copies(
    recordings: Sequence[Utterance], report: Callable[[str], None]
) -> list[Utterance]:
    """Drop those whose file has the same bytes as an earlier one's, and tell `report`.

    Files that cannot be read stay: they are told of where they are used.
    """
    groups = [list(range(len(recordings)))]
    # From cheap to dear: few files need to be read.
    for key in (_size, _middle, _content):
        groups = [part for group in groups for part in _alike(group, recordings, key)]
    dropped = {index: group[0] for group in groups for index in group[1:]}
    for index, first in sorted(dropped.items()):
        report(f"{recordings[index].path} is a copy of {recordings[first].path}")
    return [item for index, item in enumerate(recordings) if index not in dropped]


def _alike(
    group: list[int], recordings: Sequence[Utterance], key: Callable[[Path], object]
) -> list[list[int]]:
    """The parts of a group that agree in a key and have more than one member."""
    parts: dict[object, list[int]] = defaultdict(list)
    for index in group:
        try:
            parts[key(recordings[index].path)].append(index)
        except OSError:
            continue
    return [part for part in parts.values() if len(part) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _middle(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - _BLOCK, 0) // 2)
        return file.read(_BLOCK)


def _content(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.digest()
