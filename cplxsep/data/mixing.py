"""The one place where talkers are scaled and added, for prepared and for dynamic mixtures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cplxsep.audio.level import active_rms, common_gain, from_db, rms

Level = Literal["rms", "active"]
Mode = Literal["min", "max"]


@dataclass(frozen=True)
class Mixed:
    """A mixture (S,), its sources (N, S), both float32, and the gain that each source got."""

    mixture: np.ndarray
    sources: np.ndarray
    gains: list[float]


def mix(
    sources: Sequence[np.ndarray],
    *,
    snr_db: Sequence[float],
    sample_rate: int,
    level: Level = "rms",
    mode: Mode = "min",
    peak: float | None = 0.9,
    offsets: Sequence[int] | None = None,
    length: int | None = None,
) -> Mixed:
    """Scale source i so that source 1 is `snr_db[i]` dB louder, and add; `snr_db[0]` is 0.

    Mode min cuts all to the shortest, source i from its sample `offsets[i]` on; mode max pads with
    zeros to the longest, or to `length`, source i starting at `offsets[i]` in the mixture.
    Levels are those of what is heard: after the cut, without the padding. Source 1 keeps its level
    unless the mixture or a source passes `peak`: then all get one common gain.
    The mixture is the float32 sum of the sources in their order, exactly.
    ValueError: a source is silent, or lengths do not fit.
    """
    if len(snr_db) != len(sources) or snr_db[0] != 0.0:
        raise ValueError("snr_db needs one value a source, the first 0")
    starts = list(offsets) if offsets is not None else [0] * len(sources)
    pieces = _cut(sources, starts) if mode == "min" else [np.asarray(item) for item in sources]
    levels = [loudness(piece, sample_rate, level) for piece in pieces]
    if min(levels) <= 0.0:
        raise ValueError(f"source {levels.index(min(levels)) + 1} is silent")
    gains = [levels[0] / own * from_db(-ratio) for own, ratio in zip(levels, snr_db, strict=True)]
    placed = _place(pieces, [0] * len(pieces) if mode == "min" else starts, length)
    scaled = placed * np.asarray(gains, np.float32)[:, None]
    mixture = add(scaled)
    common = 1.0 if peak is None else common_gain(np.concatenate([mixture[None], scaled]), peak)
    if common < 1.0:
        scaled = scaled * np.float32(common)
        mixture = add(scaled)
    return Mixed(mixture, scaled, [gain * common for gain in gains])


def add(sources: np.ndarray) -> np.ndarray:
    """Sum (N, S) over the sources one after the other, so that it can be repeated exactly."""
    mixture = sources[0].copy()
    for source in sources[1:]:
        mixture += source
    return mixture


def loudness(audio: np.ndarray, sample_rate: int, level: Level) -> float:
    """The level of (S,) that mixing goes by, as an amplitude."""
    return active_rms(audio, sample_rate) if level == "active" else float(rms(audio))


def _cut(sources: Sequence[np.ndarray], starts: Sequence[int]) -> list[np.ndarray]:
    shortest = min(len(item) - start for item, start in zip(sources, starts, strict=True))
    if shortest <= 0:
        raise ValueError("an offset is past the end of its source")
    return [item[start : start + shortest] for item, start in zip(sources, starts, strict=True)]


def _place(pieces: list[np.ndarray], starts: list[int], length: int | None) -> np.ndarray:
    ends = [start + len(piece) for piece, start in zip(pieces, starts, strict=True)]
    total = max(ends) if length is None else length
    if max(ends) > total:
        raise ValueError(f"a source ends at sample {max(ends)}, past the mixture's {total}")
    placed = np.zeros((len(pieces), total), np.float32)
    for row, piece, start, end in zip(placed, pieces, starts, ends, strict=True):
        row[start:end] = piece
    return placed
