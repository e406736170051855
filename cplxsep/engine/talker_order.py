"""Keeps the talkers in one order across chunks, and across pauses within them.

A separation network is free to swap its outputs from one chunk to the next, and it does now and
then behind a pause. Two things tell who is who. Where neighbouring chunks overlap they hold the
same speech; that counts for nothing where nobody speaks: a silent overlap matches by chance. And
each talker has a voice, learnt as the recording goes on, which tells after a pause. Where neither
tells the order stays. What is heard later tells more, so a chunk is held back for a while: two
passages of one talker may turn out to be of two. Every decision depends on ratios of levels only,
so that scaling a recording changes none.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cplxsep.audio.level import frame_of
from cplxsep.engine.hypotheses import Hypothesis, extended
from cplxsep.engine.measured import Measured, measured
from cplxsep.engine.overlap import Overlap
from cplxsep.engine.passages import in_orders, passages
from cplxsep.engine.speech_level import SpeechLevel
from cplxsep.engine.voices import Voice, voice_of

VOICE_FRAMES = 8  # frames of speech that a passage needs to tell of a talker
HELD = 4  # chunks that are heard before the order of one is settled
PAUSE_FRAMES = 8  # frames without speech (0.26 s) behind which the network may have swapped
DOMINANT = 2.0  # times the power of all others that a frame of one talker must have
WEAK = 0.3  # confidence below which a seam is little more than a guess


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


class Arranged(NamedTuple):
    """A chunk's sources (N, S) in the order of the chunks before.

    seams: its beginning, but for the first one's, and each pause within it behind which its order
    was changed.
    """

    start: int
    sources: np.ndarray
    seams: list[Seam]


class TalkerOrder:
    """Puts the sources of each chunk into the order of the chunks before."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = frame_of(sample_rate)
        self._level = SpeechLevel()
        self._hypotheses: list[Hypothesis] = []  # the best one first
        self._held: deque[tuple[int, np.ndarray]] = deque()
        self._last: tuple[int, np.ndarray] | None = None

    def push(
        self, start: int, sources: np.ndarray, known: Measured | None = None
    ) -> Iterator[Arranged]:
        """Take the next chunk's sources (N, S); the chunk whose order is settled by that, if any.

        known: what is measured of these sources, where that was done already.
        """
        if len(sources) == 1:
            yield Arranged(start, sources, [])
            return
        self._take(start, sources, known or measured(sources, self._rate))
        self._held.append((start, sources))
        if len(self._held) > HELD:
            yield self._settled()

    def finish(self) -> Iterator[Arranged]:
        """The chunks that are held back."""
        while self._held:
            yield self._settled()

    def _take(self, start: int, sources: np.ndarray, found: Measured) -> None:
        """Follow the hypotheses through a chunk."""
        self._level.adapt(found.powers)
        spoken = self._level.spoken(found.powers)
        hypotheses = self._hypotheses or [Hypothesis.first(len(sources))]
        hypotheses = [hypothesis.next_chunk(HELD) for hypothesis in hypotheses]
        if spoken.any():
            overlap = self._overlap(start, sources)
            for first, last in passages(spoken, PAUSE_FRAMES):
                heard = self._heard(found.powers[:, first:last], found.embedded[:, first:last])
                hypotheses = extended(hypotheses, heard, overlap, first, last)
        else:
            hypotheses = [hypothesis.silent() for hypothesis in hypotheses]
        self._hypotheses = hypotheses
        self._last = (start, sources)

    def _settled(self) -> Arranged:
        """The chunk that was held for the longest, by the best hypothesis."""
        age = len(self._held)
        start, sources = self._held.popleft()
        pieces = [
            (passage.first * self._frame, passage.order)
            for passage in self._hypotheses[0].chunks[-age]
        ]
        return Arranged(start, in_orders(sources, pieces, self._frame), self._seams(start, age))

    def _overlap(self, start: int, sources: np.ndarray) -> Overlap | None:
        """What the chunk shares with the one before; None of the first one."""
        if self._last is None:
            return None
        begin, before = self._last
        return Overlap.between(before, start - begin, sources, self._frame, self._level)

    def _heard(self, powers: np.ndarray, embedded: np.ndarray) -> list[Voice | None]:
        """Voice of each source of a passage; None where one says too little.

        From the frames that are its own, where nothing that leaks can be.
        """
        others = powers.sum(axis=0) - powers
        own = self._level.speaks(powers) & (powers >= DOMINANT * others)
        return [
            voice_of(there[speaks]) if speaks.sum() >= VOICE_FRAMES else None
            for there, speaks in zip(embedded, own, strict=True)
        ]

    def _seams(self, start: int, age: int) -> list[Seam]:
        """Of the chunk that came so many before the next one."""
        best, *others = self._hypotheses
        before, seams = np.arange(len(best.voices)), []
        for index, passage in enumerate(best.chunks[-age]):
            swapped = bool((passage.order != before).any())
            before = passage.order
            if swapped or (index == 0 and start > 0):
                rivals = [
                    other.score
                    for other in others
                    if (other.chunks[-age][index].order != before).any()
                ]
                told = passage.told
                sure = 1.0 if told == "silence" else 1 - math.exp(max(rivals, default=-math.inf))
                seconds = (start + passage.first * self._frame) / self._rate
                seams.append(Seam(seconds, told, round(sure, 3), swapped))
        return seams
