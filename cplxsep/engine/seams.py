"""Keeps the talkers in one order across chunks. Numpy only.

A separation network is free to swap its outputs from one chunk to the next. Where neighbouring
chunks overlap they hold the same speech, which tells who is who, but only if somebody speaks
there: a silent overlap matches by chance. Then the talkers' running profiles decide, and
where these do not differ either the order stays. Every decision depends on ratios of levels
only, so that scaling a recording changes none.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

FRAME = 0.032  # seconds
# A frame is speech when it is at most 25 dB below the recording's loud frames and 6 dB above its
# quiet ones, the background; the second only down to 10 dB, for there are steady sounds too.
QUIET, BACKGROUND, STEADY = 10**-2.5, 10**0.6, 10**-1.0
LEAK = 10**-0.8  # what leaks from another talker is at least 8 dB weaker than its origin
ACTIVE_FRAMES = 5  # frames of speech (0.16 s) that an overlap needs to identify a talker
PROFILE_FRAMES = 15  # frames of speech (0.5 s) that a chunk needs to describe a talker
MEMORY_FRAMES = 2000  # frames (64 s) after which old speech fades from a profile
MARGIN = 0.1  # least advantage over the next best order for the overlap alone to decide
KEEP = 0.03  # advantage of the present order where the evidence is profiles
BANDS = 20
SHAPE_SCALE = 10.0  # dB of spectral difference that weighs as much as a full overlap match
UNLIKE = 4.0  # dB of difference assumed where a profile is missing
LEVEL_WEIGHT = 0.2  # of one dB of level, against one dB of every band


@dataclass(frozen=True)
class Seam:
    """How the order at one seam was found.

    seconds: position. method: "overlap", "profile" or "kept". confidence: 0 (a guess) to 1.
    swapped: whether the network's order was changed.
    """

    seconds: float
    method: str
    confidence: float
    swapped: bool


@dataclass
class _Profile:
    """Mean spectrum (BANDS + 1,) in dB, level last, over `frames` frames of speech."""

    values: np.ndarray
    frames: int

    def learn(self, other: "_Profile") -> None:
        total = self.frames + other.frames
        self.values = self.values + (other.values - self.values) * (other.frames / total)
        self.frames = min(total, MEMORY_FRAMES)


class TalkerOrder:
    """Puts the sources of each chunk into the order of the chunks before."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = max(round(FRAME * sample_rate), 2)
        self._bands = _mel_bands(self._frame, sample_rate)
        self._loud = 0.0  # power of the recording's loud frames
        self._background = np.inf  # power of its quiet ones
        self._profiles: list[_Profile | None] = []
        self._last: tuple[int, np.ndarray] | None = None
        self.latest: Seam | None = None

    def arrange(self, start: int, sources: np.ndarray) -> np.ndarray:
        """The chunk's sources (N, S), in the order of the chunk before; sets `latest`."""
        self.latest = None
        if len(sources) == 1:
            return sources
        self._adapt(sources)
        profiles = self._describe(sources)
        if self._last is None:
            self._profiles = profiles
        else:
            order, self.latest = self._decide(start, sources, profiles)
            sources = sources[order]
            for index, source in enumerate(order):
                self._update(index, profiles[source])
        self._last = (start, sources)
        return sources

    def _decide(
        self, start: int, sources: np.ndarray, profiles: list[_Profile | None]
    ) -> tuple[np.ndarray, Seam]:
        assert self._last is not None
        before, previous = self._last
        old = previous[:, start - before :]
        new = sources[:, : old.shape[1]]
        known, fresh = self._active(old), self._active(new)
        match = _match(old, new)
        needed = len(sources) - 1
        order, margin = _best_order(match)
        method = "overlap"
        if known.sum() < needed or fresh.sum() < needed or margin < MARGIN:
            trusted = np.where(known[:, None] & fresh[None, :], match, 0.0)
            evidence = trusted + self._likeness(profiles)
            order, margin = _best_order(evidence + KEEP * np.eye(len(sources)))
            method = "profile"
            if _best_order(evidence)[1] < KEEP:
                method, margin = "kept", 0.0
        swapped = bool((order != np.arange(len(order))).any())
        return order, Seam(start / self._rate, method, round(min(margin, 1.0), 3), swapped)

    def _adapt(self, sources: np.ndarray) -> None:
        # Earlier chunks count less and less: a recording's level may drift.
        powers = self._powers(sources).max(axis=0)
        self._loud = max(float(np.percentile(powers, 95)), 0.8 * self._loud)
        # Digital silence is no background.
        audible = powers[powers > 1e-8 * self._loud]
        if audible.size:
            quiet = float(np.percentile(audible, 10))
            self._background = min(quiet, 1.25 * self._background)

    def _powers(self, sources: np.ndarray) -> np.ndarray:
        """Mean power of each frame, (N, T)."""
        count = max(sources.shape[1] // self._frame, 1)
        frames = (
            sources[:, : count * self._frame].astype(np.float64).reshape(len(sources), count, -1)
        )
        return (frames**2).mean(axis=2)

    def _speech(self, sources: np.ndarray, least: float) -> np.ndarray:
        """Frames (N, T) in which a source speaks, with `least` of the loudest source's power."""
        if sources.shape[1] < self._frame:
            return np.zeros((len(sources), 0), dtype=bool)
        powers = self._powers(sources)
        background = min(BACKGROUND * self._background, STEADY * self._loud)
        threshold = max(QUIET * self._loud, background)
        return (powers > threshold) & (powers >= least * powers.max(axis=0))

    def _active(self, sources: np.ndarray) -> np.ndarray:
        """Which sources (N,) speak long enough to be recognised, and do not just leak."""
        return self._speech(sources, LEAK).sum(axis=1) >= ACTIVE_FRAMES

    def _describe(self, sources: np.ndarray) -> list[_Profile | None]:
        """Profile of each source of a chunk (N, S); None where one says too little.

        From the frames in which it is the loudest, where nothing that leaks can be.
        """
        speech = self._speech(sources, 1.0)
        return [
            self._profile(source[: own.size * self._frame].reshape(-1, self._frame)[own])
            for source, own in zip(sources, speech, strict=True)
        ]

    def _profile(self, frames: np.ndarray) -> _Profile | None:
        """Profile of frames of speech (T, frame)."""
        if len(frames) < PROFILE_FRAMES:
            return None
        spectra = np.abs(np.fft.rfft(frames * np.hanning(self._frame), axis=1)) ** 2
        floor = 1e-5 * self._loud * self._frame
        bands = (10 * np.log10(spectra @ self._bands + floor)).mean(axis=0)
        level = 10 * np.log10((frames.astype(np.float64) ** 2).mean())
        return _Profile(np.append(bands - bands.mean(), level), len(frames))

    def _likeness(self, profiles: list[_Profile | None]) -> np.ndarray:
        """Evidence (N, N), highest for equal profiles, that old source i is new source j."""
        size = len(profiles)
        distance = np.full((size, size), UNLIKE)
        for i, old in enumerate(self._profiles):
            for j, new in enumerate(profiles):
                if old is not None and new is not None:
                    difference = old.values - new.values
                    shape = np.sqrt((difference[:-1] ** 2).mean())
                    distance[i, j] = shape + LEVEL_WEIGHT * abs(difference[-1])
        return -distance / SHAPE_SCALE

    def _update(self, index: int, profile: _Profile | None) -> None:
        current = self._profiles[index]
        if current is None:
            self._profiles[index] = profile
        elif profile is not None:
            current.learn(profile)


def _match(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Inner products (N, N) of sources (N, S), as a fraction of the energy of all.

    Not correlations of each pair: energy must weigh, or faint leakage, which correlates with
    its origin perfectly, would count as much as the talker.
    """
    old, new = old.astype(np.float64), new.astype(np.float64)
    energy = np.sqrt((old**2).sum() * (new**2).sum())
    if energy == 0:
        return np.zeros((len(old), len(new)))
    return (old @ new.T) / energy


def _best_order(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Order (N,) with the highest summed score (N, N), and its lead over the next best."""
    rows, order = linear_sum_assignment(scores, maximize=True)
    best = scores[rows, order].sum()
    lead = np.inf
    for row in rows:
        # The next best order differs in at least one place: forbid each in turn.
        other = scores.copy()
        other[row, order[row]] = -1e6
        alternative = linear_sum_assignment(other, maximize=True)
        lead = min(lead, best - other[alternative].sum())
    return order, float(lead)


def _mel_bands(frame: int, sample_rate: int) -> np.ndarray:
    """Averaging matrix (F, BANDS) from power spectra to bands even on the mel scale."""
    frequencies = np.fft.rfftfreq(frame, 1 / sample_rate)
    mel = 2595 * np.log10(1 + frequencies / 700)
    edges = np.linspace(2595 * np.log10(1 + 80 / 700), mel[-1], BANDS + 1)
    band = np.searchsorted(edges, mel, side="right") - 1
    bands = (band[:, None] == np.arange(BANDS)).astype(np.float64)
    return bands / np.maximum(bands.sum(axis=0), 1)
