"""Recordings as mixing takes them: no copies of others, not silent, broken, clipped or short."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.audio.level import Mean
from cplxsep.audio.resample import resample
from cplxsep.data.manifest import Utterance
from cplxsep.errors import InputError

SHORTEST_SECONDS = 0.25
# A file is clipped where more of its samples than this are at full scale, in any channel.
CLIPPED_SHARE = 1e-3
# No click in a recording is so far above the loudest hundredth of its samples.
_OUTLIER, _USUAL_SHARE = 200.0, 0.99
_FULL_SCALE = 32767 / 32768
_BLOCK = 1 << 16
# A recording shorter than this share of the length that is listed is taken for another.
_LEAST_LENGTH = 0.9


def decode(
    path: Path, sample_rate: int, inspect: Callable[[np.ndarray], None] | None = None
) -> np.ndarray:
    """Read as mono float32 (S,) at `sample_rate`.

    InputError: unreadable, NaN, silent, channels that cancel each other out, or single samples
    that cannot be audio. `inspect` gets the audio (channels, S) as it is in the file, and may
    refuse it.
    """
    audio, rate = io.read(path)
    check_outliers(path, audio)
    if inspect:
        inspect(audio)
    mean = Mean()
    mono = resample(mean(audio), rate, sample_rate)
    if mean.cancels:
        raise InputError(f"{path}: its channels cancel each other out: keep one of them")
    if not np.any(mono):
        raise InputError(f"{path} is silent")
    return mono


def check_outliers(path: Path, audio: np.ndarray) -> None:
    """InputError: samples of (channels, S) are far above all others, and above full scale."""
    sizes = np.abs(audio)
    if audio.size and (peak := float(sizes.max())) > 1.0:
        usual = float(np.quantile(sizes[sizes > 0], _USUAL_SHARE))
        if peak > _OUTLIER * usual:
            count = int(np.count_nonzero(sizes > _OUTLIER * usual))
            raise InputError(
                f"{path} has {count} broken sample{'s' * (count > 1)}, up to {peak:.3g}, where "
                f"{_USUAL_SHARE:.0%} of the others are below {usual:.3g}"
            )


def usable(path: Path, sample_rate: int) -> np.ndarray:
    """Read as mono float32 (S,). InputError: unreadable, NaN, silent, clipped or too short."""
    audio = decode(path, sample_rate, lambda raw: check_clipping(path, raw))
    if len(audio) < SHORTEST_SECONDS * sample_rate:
        raise InputError(f"{path} is shorter than {SHORTEST_SECONDS} s")
    return audio


def usable_speech(item: Utterance, sample_rate: int) -> np.ndarray:
    """Read as `usable`. InputError also where it is much shorter than its manifest says."""
    audio = usable(item.path, sample_rate)
    check_length(item, len(audio) / sample_rate)
    return audio


def check_length(item: Utterance, seconds: float) -> None:
    """InputError where a recording is much shorter than its manifest says."""
    if seconds < _LEAST_LENGTH * item.seconds - SHORTEST_SECONDS:
        raise InputError(f"{item.path} has {seconds:.1f} s, not {item.seconds:.1f} as is listed")


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
