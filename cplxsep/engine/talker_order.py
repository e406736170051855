"""Keeps the talkers in one order across chunks, and across pauses within them.

A separation network is free to swap its outputs from one chunk to the next, and it does now and
then behind a pause. Two things tell who is who. Where neighbouring chunks overlap they hold the
same speech; that counts for as much as the order before it is sure, and for nothing where nobody
speaks: a silent overlap matches by chance. And each talker has a voice, learnt as the recording
goes on, which tells after a pause. Where neither tells the order stays. Every decision depends on
ratios of levels only, so that scaling a recording changes none.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cplxsep.audio.level import frame_of
from cplxsep.engine.measured import Measured, measured
from cplxsep.engine.orders import best_order, lead_of
from cplxsep.engine.passages import in_orders, passages
from cplxsep.engine.speech_level import SpeechLevel
from cplxsep.engine.voices import Voice, likeness, voice_of

ACTIVE_FRAMES = 5  # frames of speech (0.16 s) that an overlap needs to count in full
VOICE_FRAMES = 5  # frames of speech that a passage needs to tell of a talker
NEW_FRAMES = 15  # the same, of one not heard before: less may be what leaks
KNOWN_FRAMES = 20  # frames of each talker from which voices tell within a chunk
PAUSE_FRAMES = 8  # frames without speech (0.26 s) behind which the network may have swapped
CLEAR_MATCH = 0.25  # lead of an overlap's best order from which it is as sure as can be
OVERLAP_WEIGHT = 2.0  # likeness of voices that a clear overlap outweighs
UNLIKE = 1.0  # the same, that a talker not heard before differs from a known one
STAYS = 0.35  # lead of a chunk's own order behind a pause; a clear overlap has 1
DOMINANT = 2.0  # times the power of all others that a frame of one talker must have
LEAST_SURE = 0.1  # how far even a guess is trusted afterwards
WEAK = 0.1  # confidence below which a seam is little more than a guess


@dataclass(frozen=True)
class Seam:
    """How the order at one seam was found: where a chunk begins, or behind a pause within it.

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


class _Overlap(NamedTuple):
    """Frames (N, T, S) of the chunk before and of this one where both are, and who speaks (T,)."""

    old: np.ndarray
    new: np.ndarray
    spoken: np.ndarray

    def part(self, first: int, last: int) -> "_Overlap":
        """From one frame to before another."""
        return _Overlap(self.old[:, first:last], self.new[:, first:last], self.spoken[first:last])


class TalkerOrder:
    """Puts the sources of each chunk into the order of the chunks before.

    latest: the seams of the latest chunk: its beginning, but for the first one's, and each pause
    within it behind which its order was changed.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = frame_of(sample_rate)
        self._level = SpeechLevel()
        self._voices: list[Voice | None] = []
        self._sure = 1.0  # confidence of the latest chunk's order, at its end
        self._last: tuple[int, np.ndarray] | None = None
        self.latest: list[Seam] = []

    def arrange(self, start: int, sources: np.ndarray, known: Measured | None = None) -> np.ndarray:
        """The chunk's sources (N, S), in the order of the chunk before; sets `latest`.

        known: what is measured of these sources, where that was done already.
        """
        self.latest = []
        if len(sources) == 1:
            return sources
        found = known or measured(sources, self._rate)
        self._level.adapt(found.powers)
        overlap = self._overlap(start, sources)
        heard = self._heard(found)
        # The chunk as a whole, then each of its passages, which may tell that it is not one.
        spoken = self._level.spoken(found.powers)
        order, sure = self._begin(start, overlap, heard, bool(spoken.any()))
        parts = passages(spoken, PAUSE_FRAMES)
        pieces = []
        for first, last in parts:
            if spoken[first:last].any():
                if len(parts) > 1:
                    there = Measured(found.powers[:, first:last], found.bands[:, first:last])
                    heard = self._heard(there)
                    before = order
                    match = self._match(overlap.part(first, last))
                    order, sure, method = self._of_passage(before, sure, match, heard)
                    if (order != before).any():
                        self._changed(start, first, method, sure, order)
                self._learn([heard[index] for index in order], sure)
            pieces.append((first * self._frame, order))
        self._sure = sure
        sources = in_orders(sources, pieces, self._frame)
        self._last = (start, sources)
        return sources

    def _begin(
        self, start: int, overlap: _Overlap, heard: list[Voice | None], speech: bool
    ) -> tuple[np.ndarray, float]:
        """The order of a chunk as a whole, and how sure it is; adds its seam."""
        stay = np.arange(len(heard))
        if self._last is None:
            self._voices = [None] * len(stay)
            return stay, 1.0
        match = self._match(overlap)
        alike = likeness(self._voices, heard, UNLIKE) / OVERLAP_WEIGHT
        # A hair for the present order: it stays where nothing tells.
        order, lead = best_order(match + alike + 1e-6 * np.eye(len(stay)))
        confidence = round(min(lead, 1.0), 3)
        if not speech:
            method, confidence = "silence", 1.0
        elif confidence == 0:
            method = "kept"
        else:
            method = _what_told(order, match, alike)
        swapped = bool((order != stay).any())
        self.latest.append(Seam(start / self._rate, method, confidence, swapped))
        return order, self._trust(confidence)

    def _of_passage(
        self, before: np.ndarray, sure: float, match: np.ndarray, heard: list[Voice | None]
    ) -> tuple[np.ndarray, float, str]:
        """The order of a passage behind one that is as sure as that, how sure, and what told."""
        count = len(before)
        alike = np.zeros((count, count))
        if all(voice is not None and voice.frames >= KNOWN_FRAMES for voice in self._voices):
            alike = likeness(self._voices, heard, UNLIKE) / OVERLAP_WEIGHT
        stays = np.zeros((count, count))
        # Another order differs in two places at least.
        stays[np.arange(count), before] = STAYS * sure / 2
        order, lead = best_order(match + alike + stays + 1e-6 * np.eye(count))
        told = lead_of(order, match + alike)
        if (order != before).any():
            sure = min(lead, 1.0)
        elif told < 0:
            sure = min(lead, sure)
        else:
            sure = max(sure, min(told, 1.0))
        return order, self._trust(sure), _what_told(order, match, alike)

    def _changed(self, start: int, first: int, method: str, sure: float, order: np.ndarray) -> None:
        """Add the seam of a passage that differs from the one before, or from its whole chunk."""
        if first == 0:
            self.latest.clear()
        swapped = first > 0 or bool((order != np.arange(len(order))).any())
        seconds = (start + first * self._frame) / self._rate
        self.latest.append(Seam(seconds, method, round(sure, 3), swapped))

    def _trust(self, confidence: float) -> float:
        """How far an order is trusted afterwards."""
        # Before any voice is known there is no order that could be wrong.
        any_known = any(voice is not None for voice in self._voices)
        return max(confidence, LEAST_SURE) if any_known else 1.0

    def _overlap(self, start: int, sources: np.ndarray) -> _Overlap:
        """What a chunk and the one before have of the same time; the first chunk has nothing."""
        before, previous = self._last or (start, sources[:, :0])
        old = previous[:, start - before :]
        old, new = self._frames(old), self._frames(sources[:, : old.shape[1]])
        speaks = self._level.spoken
        return _Overlap(old, new, speaks(_powers(old)) & speaks(_powers(new)))

    def _match(self, overlap: _Overlap) -> np.ndarray:
        """How well old source i and new source j (N, N) agree where they overlap in speech.

        Scaled so that the best order leads by as much as the order before is sure where it is
        clear.
        """
        old, new, spoken = overlap
        match = _agreement(old[:, spoken], new[:, spoken])
        lead = best_order(match)[1]
        weight = self._sure * min(1.0, spoken.sum() / ACTIVE_FRAMES)
        return match * (weight / max(lead, CLEAR_MATCH))

    def _frames(self, sources: np.ndarray) -> np.ndarray:
        """Sources (N, S) in whole frames (N, T, S'), float64."""
        count = sources.shape[1] // self._frame
        whole = sources[:, : count * self._frame].astype(np.float64)
        return whole.reshape(len(sources), count, self._frame)

    def _heard(self, found: Measured) -> list[Voice | None]:
        """Voice of each source of a chunk or passage; None where one says too little.

        From the frames that are its own, where nothing that leaks can be.
        """
        powers = found.powers
        others = powers.sum(axis=0) - powers
        own = self._level.speaks(powers) & (powers >= DOMINANT * others)
        return [
            voice_of(bands[speaks], self._level.loud * self._frame)
            if speaks.sum() >= VOICE_FRAMES
            else None
            for bands, speaks in zip(found.bands, own, strict=True)
        ]

    def _learn(self, heard: list[Voice | None], sure: float) -> None:
        """Add what was heard, in an order as sure as that, to the voices of those who said it."""
        found = [(voice.frames, index) for index, voice in enumerate(heard) if voice is not None]
        for _, index in sorted(found, reverse=True):
            known, voice = self._voices[index], heard[index]
            assert voice is not None
            # Half of a talker whom the network split over two outputs is no other talker. A known
            # one may well sound new: a voice that took up only what is like it would narrow.
            unlike = UNLIKE if known is None else np.inf
            scores = likeness(self._voices, [voice], unlike)[:, 0]
            if scores[index] < scores.max():
                continue
            if known is not None:
                known.learn(voice, sure)
            elif voice.frames >= NEW_FRAMES:
                self._voices[index] = voice


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


def _what_told(order: np.ndarray, match: np.ndarray, alike: np.ndarray) -> str:
    """Which of the two said more for an order: "overlap" or "voice"."""
    return "overlap" if lead_of(order, match) >= lead_of(order, alike) else "voice"
