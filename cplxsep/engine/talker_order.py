"""Keeps the talkers in one order across chunks.

A separation network is free to swap its outputs from one chunk to the next. Two things tell who
is who. Where neighbouring chunks overlap they hold the same speech; that counts for as much as
the order before it is sure, and for nothing where nobody speaks: a silent overlap matches by
chance. And each talker has a voice, learnt as the recording goes on, which tells after a pause.
Where neither tells the order stays. Every decision depends on ratios of levels only, so that
scaling a recording changes none.
"""

from dataclasses import dataclass

import numpy as np

from cplxsep.audio.level import frame_of
from cplxsep.engine.measured import Measured, measured
from cplxsep.engine.voices import Voice, likeness, voice_of
from cplxsep.metrics.assignment import best_permutation

# A frame is speech when it is at most 25 dB below the recording's loud frames and 6 dB above its
# quiet ones, the background; the second only down to 10 dB, for there are steady sounds too.
QUIET, BACKGROUND, STEADY = 10**-2.5, 10**0.6, 10**-1.0
ACTIVE_FRAMES = 5  # frames of speech (0.16 s) that an overlap needs to count in full
VOICE_FRAMES = 5  # frames of speech that a chunk needs to tell of a talker
CLEAR_MATCH = 0.25  # lead of an overlap's best order from which it is as sure as can be
OVERLAP_WEIGHT = 2.0  # likeness of voices that a clear overlap outweighs
UNLIKE = 1.0  # the same, that a talker not heard before differs from a known one
DOMINANT = 2.0  # times the power of all others that a frame of one talker must have
LEAST_SURE = 0.1  # how far even a guess is trusted afterwards
WEAK = 0.1  # confidence below which a seam is little more than a guess


@dataclass(frozen=True)
class Seam:
    """How the order at one seam was found.

    seconds: position. method: "overlap" or "voice", whichever said more, "kept" where nothing
    told, or "silence" where nobody speaks after the seam, so that any order is right.
    confidence: 0 (a guess) to 1 that talkers have their own outputs after the seam; a clear overlap
    with a chunk in doubt is in doubt too. swapped: whether the network's order was changed.
    """

    seconds: float
    method: str
    confidence: float
    swapped: bool

    @property
    def weak(self) -> bool:
        """Whether the order behind it is little more than a guess."""
        return self.confidence < WEAK


class TalkerOrder:
    """Puts the sources of each chunk into the order of the chunks before."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = frame_of(sample_rate)
        self._loud = 0.0  # power of the recording's loud frames
        self._background = np.inf  # power of its quiet ones
        self._voices: list[Voice | None] = []
        self._sure = 1.0  # confidence of the latest chunk's order
        self._last: tuple[int, np.ndarray] | None = None
        self.latest: Seam | None = None

    def arrange(self, start: int, sources: np.ndarray, known: Measured | None = None) -> np.ndarray:
        """The chunk's sources (N, S), in the order of the chunk before; sets `latest`.

        known: what is measured of these sources, where that was done already.
        """
        self.latest = None
        if len(sources) == 1:
            return sources
        found = known or measured(sources, self._rate)
        powers = found.powers
        self._adapt(powers)
        voices = self._heard(found)
        if self._last is None:
            self._voices = [None] * len(sources)
        else:
            order, self.latest = self._decide(start, sources, powers, voices)
            if self.latest.swapped:
                sources, voices = sources[order], [voices[index] for index in order]
            # Before any voice is known there is no order that could be wrong.
            any_known = any(voice is not None for voice in self._voices)
            self._sure = max(self.latest.confidence, LEAST_SURE) if any_known else 1.0
        self._learn(voices)
        self._last = (start, sources)
        return sources

    def _decide(
        self, start: int, sources: np.ndarray, powers: np.ndarray, voices: list[Voice | None]
    ) -> tuple[np.ndarray, Seam]:
        match = self._sure * self._match(start, sources)
        alike = likeness(self._voices, voices, UNLIKE) / OVERLAP_WEIGHT
        stay = np.arange(len(sources))
        # A hair for the present order: it stays where nothing tells.
        order, lead = _best_order(match + alike + 1e-6 * np.eye(len(sources)))
        confidence = round(min(lead, 1.0), 3)
        if not self._speech(powers).any():
            method, confidence = "silence", 1.0
        elif confidence == 0:
            method = "kept"
        else:
            method = "overlap" if _lead_of(order, match) >= _lead_of(order, alike) else "voice"
        return order, Seam(start / self._rate, method, confidence, bool((order != stay).any()))

    def _match(self, start: int, sources: np.ndarray) -> np.ndarray:
        """How well old source i and new source j (N, N) agree where they overlap in speech.

        Scaled so that the best order leads by 1 where it is clear.
        """
        assert self._last is not None
        before, previous = self._last
        old = previous[:, start - before :]
        new = sources[:, : old.shape[1]]
        if old.shape[1] < self._frame:
            return np.zeros((len(old), len(old)))
        old, new = self._frames(old), self._frames(new)
        spoken = self._speech(_powers(old)).any(axis=0) & self._speech(_powers(new)).any(axis=0)
        match = _agreement(old[:, spoken], new[:, spoken])
        lead = _best_order(match)[1]
        weight = min(1.0, spoken.sum() / ACTIVE_FRAMES)
        return match * (weight / max(lead, CLEAR_MATCH))

    def _adapt(self, powers: np.ndarray) -> None:
        # Earlier chunks count less and less: a recording's level may drift.
        loudest = powers.max(axis=0)
        self._loud = max(_quantile(loudest, 0.95), 0.8 * self._loud)
        # Digital silence is no background.
        audible = loudest[loudest > 1e-8 * self._loud]
        if audible.size:
            quiet = _quantile(audible, 0.1)
            self._background = min(quiet, 1.25 * self._background)

    def _frames(self, sources: np.ndarray) -> np.ndarray:
        """Sources (N, S) in frames (N, T, S'), float64."""
        frame = min(self._frame, sources.shape[1])
        count = sources.shape[1] // frame
        return sources[:, : count * frame].astype(np.float64).reshape(len(sources), count, -1)

    def _speech(self, powers: np.ndarray) -> np.ndarray:
        """In which frames (N, T) each source speaks."""
        background = min(BACKGROUND * self._background, STEADY * self._loud)
        return powers > max(QUIET * self._loud, background)

    def _heard(self, found: Measured) -> list[Voice | None]:
        """Voice of each source of a chunk; None where one says too little.

        From the frames that are its own, where nothing that leaks can be.
        """
        powers = found.powers
        others = powers.sum(axis=0) - powers
        own = self._speech(powers) & (powers >= DOMINANT * others)
        return [
            voice_of(bands[speaks], self._loud * self._frame)
            if speaks.sum() >= VOICE_FRAMES
            else None
            for bands, speaks in zip(found.bands, own, strict=True)
        ]

    def _learn(self, heard: list[Voice | None]) -> None:
        """Add what was heard, already in order, to the voices of those who said it."""
        found = [(voice.frames, index) for index, voice in enumerate(heard) if voice is not None]
        for _, index in sorted(found, reverse=True):
            known, voice = self._voices[index], heard[index]
            assert voice is not None
            scores = likeness(self._voices, [voice], UNLIKE)[:, 0]
            # Half of a talker whom the network split over two outputs is no other talker.
            if scores[index] < scores.max():
                continue
            if known is None:
                self._voices[index] = voice
            else:
                known.learn(voice, self._sure)


def _powers(frames: np.ndarray) -> np.ndarray:
    """Mean power (N, T) of frames (N, T, S)."""
    return np.einsum("nts,nts->nt", frames, frames) / frames.shape[2]


def _agreement(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Inner products (N, N) of sources in frames (N, T, S), as a fraction of the energy of all.

    Not correlations of each pair: energy must weigh, or faint leakage, which correlates with
    its origin perfectly, would count as much as the talker.
    """
    old, new = old.reshape(len(old), -1), new.reshape(len(new), -1)
    energy = np.sqrt(np.vdot(old, old) * np.vdot(new, new))
    if energy == 0:
        return np.zeros((len(old), len(new)))
    return (old @ new.T) / energy


def _quantile(values: np.ndarray, share: float) -> float:
    """As np.quantile, which takes ten times as long for so few values."""
    ordered = np.sort(values)
    low, part = divmod(share * (ordered.size - 1), 1)
    below, above = ordered[int(low)], ordered[min(int(low) + 1, ordered.size - 1)]
    return float(below + part * (above - below))


def _lead_of(order: np.ndarray, scores: np.ndarray) -> float:
    """Lead of an order (N,) over the best other one by scores (N, N); negative if that is ahead."""
    rows = np.arange(len(order))
    own = scores[rows, order].sum()
    lead = np.inf
    for row in rows:
        # Any other order differs in at least one place: forbid each in turn.
        other = scores.copy()
        other[row, order[row]] = -1e6
        lead = min(lead, own - other[rows, best_permutation(other)].sum())
        if len(order) == 2:
            break  # there is one other, and it differs in both
    return float(lead)


def _best_order(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Order (N,) with the highest summed score (N, N), and its lead over the next best."""
    order = best_permutation(scores)
    return order, _lead_of(order, scores)
