"""The one place where talkers are scaled and added, for prepared and for dynamic mixtures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from cplxsep.audio.level import active_rms, common_gain, from_db, rms
from cplxsep.audio.p56 import p56_level

Level = Literal["rms", "active", "p56"]
Mode = Literal["min", "max"]


@dataclass(frozen=True)
class Mixed:
    """A mixture (S,), its sources (N, S), both float32, and the gains that they got.

    Each source is multiplied by its `own` gain and then by the `common` one, in float32, in which
    they are exact. `reference` is a further form of source 1 (S,).
    """

    mixture: np.ndarray
    sources: np.ndarray
    own: list[float]
    common: float
    reference: np.ndarray | None = None


def mix(
    sources: Sequence[np.ndarray],
    *,
    snr_db: Sequence[float],
    sample_rate: int,
    level: Level = "rms",
    mode: Mode = "min",
    peak: float | None = 0.9,
    offsets: Sequence[int] | None = None,
    starts: Sequence[int] | None = None,
    length: int | None = None,
    reference: np.ndarray | None = None,
) -> Mixed:
    """Scale source i so that source 1 is `snr_db[i]` dB louder, and add; `snr_db[0]` is 0.

    Mode min cuts all to the shortest, source i from its sample `offsets[i]` on, to lie at
    `starts[i]` in the mixture (all at 0); mode max pads with zeros to the longest, or to `length`,
    source i starting at `offsets[i]` in the mixture.
    Levels are those of what is heard: after the cut, without the padding. Source 1 keeps its level
    unless the mixture or a source passes `peak`: then all get one common gain.
    `reference`, as long as source 1, gets the gains of source 1 and keeps within the peak too.
    The mixture is the float32 sum of the sources in their order, exactly.
    ValueError: a source is silent, or lengths do not fit.
    """
    if len(snr_db) != len(sources) or snr_db[0] != 0.0:
        raise ValueError("snr_db needs one value a source, the first 0")
    beginnings = list(offsets) if offsets is not None else [0] * len(sources)
    pieces = _cut(sources, beginnings) if mode == "min" else [np.asarray(item) for item in sources]
    levels = [loudness(piece, sample_rate, level) for piece in pieces]
    if min(levels) <= 0.0:
        raise ValueError(f"source {levels.index(min(levels)) + 1} is silent")
    gains = [levels[0] / own * from_db(-ratio) for own, ratio in zip(levels, snr_db, strict=True)]
    own = np.asarray(gains, np.float32)
    places = starts or [0] * len(pieces) if mode == "min" else beginnings
    scaled = place(pieces, places, length) * own[:, None]
    mixture = add(scaled)
    heard = [mixture[None], scaled]
    if reference is not None:
        heard.append(place([reference], places[:1], len(mixture)) * own[:1, None])
    common = 1.0 if peak is None else common_gain(np.concatenate(heard), peak)
    if common < 1.0:
        scaled = scaled * np.float32(common)
        mixture = add(scaled)
    return Mixed(
        mixture,
        scaled,
        [float(gain) for gain in own],
        float(np.float32(common)),
        None if reference is None else heard[2][0] * np.float32(common),
    )


def add(sources: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Sum (N, S) over the sources one after the other, so that it can be repeated exactly."""
    mixture = sources[0].copy()
    for source in sources[1:]:
        mixture += source
    return mixture


def layout(lengths: Sequence[int], overlap: float) -> list[int]:
    """Where pieces of these lengths start so that neighbours overlap by a share of the shorter.

    0: one after the other. 1: all from the beginning.
    """
    if overlap >= 1.0:
        return [0] * len(lengths)
    starts = [0]
    for before, after in pairwise(lengths):
        starts.append(starts[-1] + before - round(overlap * min(before, after)))
    return starts


def loudness(audio: np.ndarray, sample_rate: int, level: Level) -> float:
    """The level of (S,) that mixing goes by, as an amplitude."""
    if level == "p56":
        return p56_level(audio, sample_rate)
    return active_rms(audio, sample_rate) if level == "active" else float(rms(audio))


def place(pieces: Sequence[np.ndarray], starts: Sequence[int], length: int | None) -> np.ndarray:
    """Pieces (S,) laid at `starts` into silence of `length`: float32 (N, length)."""
    ends = [start + len(piece) for piece, start in zip(pieces, starts, strict=True)]
    total = max(ends) if length is None else length
    if max(ends) > total:
        raise ValueError(f"a source ends at sample {max(ends)}, past the mixture's {total}")
    placed = np.zeros((len(pieces), total), np.float32)
    for row, piece, start, end in zip(placed, pieces, starts, ends, strict=True):
        row[start:end] = piece
    return placed


def _cut(sources: Sequence[np.ndarray], starts: Sequence[int]) -> list[np.ndarray]:
    shortest = min(len(item) - start for item, start in zip(sources, starts, strict=True))
    if shortest <= 0:
        raise ValueError("an offset is past the end of its source")
    return [item[start : start + shortest] for item, start in zip(sources, starts, strict=True)]
