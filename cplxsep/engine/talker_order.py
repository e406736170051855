"""Keeps the talkers in one order across chunks, and within them.

A separation network is free to swap its outputs from one chunk to the next, and it does now and
then within one, behind a pause or amid speech. Two things tell who is who. Where neighbouring
chunks overlap they hold the same speech; that counts for nothing where nobody speaks: a silent
overlap matches by chance. And each talker has a voice, learnt as the recording goes on, which tells
elsewhere. Where neither tells the order stays. What is heard later tells more (`joint_order`), so a
chunk is held back for a while. Every decision depends on ratios of levels only, so that scaling a
recording changes none.
"""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cplxsep.audio.level import frame_of
from cplxsep.engine.followed import Passage
from cplxsep.engine.joint_order import JointOrder, Settled
from cplxsep.engine.measured import Measured, measured
from cplxsep.engine.overlap import Overlap
from cplxsep.engine.passages import in_orders, passages, stretches
from cplxsep.engine.speech_level import SpeechLevel
from cplxsep.engine.voices import heard_of

VOICE_FRAMES = 8  # frames of speech that a passage needs to tell of a talker
HELD = 4  # chunks that are heard before the order of one is settled
PAUSE_FRAMES = 8  # frames without speech (0.26 s) behind which the network may have swapped
STRETCH_FRAMES = 24  # frames (0.8 s) after which it may have swapped amid speech
DOMINANT = 4.0  # times the power of all others that a frame of one talker must have
WEAK = 0.3  # confidence below which a seam is little more than a guess
# Share of its nats that a seam's lead is worth: neighbouring frames of a voice tell much the same.
# So weighed, joints are right about as often as they say (benchmarks/talker_order.py).
WORTH = 0.3


@dataclass(frozen=True)
class Seam:
    """How the order at one seam was found: where a chunk begins, or where it changes within one.

    seconds: position. method: "overlap" or "voice", whichever said more, "kept" where nothing
    told, or "silence" where nobody speaks after the seam, so that any order is right.
    confidence: 0 (a guess) to 1 that talkers have their own outputs after the seam, and before the
    first one: of two talkers, twice as likely as not is 1/3. A clear overlap with a chunk in doubt
    is in doubt too. swapped: whether the network's order was changed.
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

    seams: its beginning, but for the first one's, and each place within it from which on its order
    was changed.
    """

    start: int
    sources: np.ndarray
    seams: list[Seam]


class _Held(NamedTuple):
    """A chunk whose order is not settled, and its passages; none where nobody speaks."""

    start: int
    sources: np.ndarray
    passages: list[Passage]


class TalkerOrder:
    """Puts the sources of each chunk into the order of the chunks before."""

    def __init__(self, talkers: int, sample_rate: int) -> None:
        self._rate = sample_rate
        self._frame = frame_of(sample_rate)
        self._level = SpeechLevel()
        self._stay = np.arange(talkers)
        self._order = JointOrder(talkers)
        self._held: deque[_Held] = deque()
        self._last: _Held | None = None
        self._unsure = np.inf  # lead of what comes before the first seam

    def push(
        self, start: int, sources: np.ndarray, known: Measured | None = None
    ) -> Iterator[Arranged]:
        """Take the next chunk's sources (N, S); the chunk whose order is settled by that, if any.

        known: what is measured of these sources, where that was done already.
        """
        if len(sources) == 1:
            yield Arranged(start, sources, [])
            return
        found = known or measured(sources, self._rate)
        self._last = _Held(start, sources, self._followed(start, sources, found))
        self._held.append(self._last)
        if len(self._held) > HELD:
            yield self._settled()

    def finish(self) -> Iterator[Arranged]:
        """The chunks that are held back."""
        while self._held:
            yield self._settled()

    def _followed(self, start: int, sources: np.ndarray, found: Measured) -> list[Passage]:
        """Passages of a chunk, whose order is sought together with that of the ones before."""
        self._level.adapt(found.powers)
        spoken = self._level.spoken(found.powers)
        if not spoken.any():
            return []
        shared = self._shared(start, sources)
        together = found.powers.sum(axis=0)
        frames = passages(spoken, PAUSE_FRAMES)
        parts = [stretches(passage, spoken, together, STRETCH_FRAMES) for passage in frames]
        begins = np.array([begin for each in parts for begin, _ in each])
        heard = heard_of(found.embedded, self._own(found.powers, frames), begins)
        loudest = np.arange(len(sources))[:, None] == found.powers.argmax(axis=0)
        speech = np.add.reduceat(loudest & spoken, begins, axis=1, dtype=int).T
        followed, end = [], 0
        for passage, each in zip(frames, parts, strict=True):
            its = slice(end, end := end + len(each))
            matches = [(one, overlap.match(one.frames, passage)) for one, overlap in shared]
            followed.append(self._order.add(passage, begins[its], speech[its], heard[its], matches))
        self._order.climb()
        self._order.divide()
        self._order.climb()
        return followed

    def _own(self, powers: np.ndarray, frames: list[tuple[int, int]]) -> np.ndarray:
        """Frames (N, T) of each source that tell of its talker's voice: nothing that leaks can.

        None in passages, of those `frames`, where there are too few.
        """
        others = powers.sum(axis=0) - powers
        own = self._level.speaks(powers) & (powers >= DOMINANT * others)
        begins, ends = np.array(frames).T
        enough = np.add.reduceat(own, begins, axis=1, dtype=int) >= VOICE_FRAMES
        return np.asarray(own & enough.repeat(ends - begins, axis=1))

    def _shared(self, start: int, sources: np.ndarray) -> list[tuple[Passage, Overlap]]:
        """Passages of the chunk before, and what this one shares with it."""
        if self._last is None or not self._last.passages:
            return []
        begin, before = start - self._last.start, self._last.sources
        overlap = Overlap.between(before, begin, sources, self._frame, self._level)
        return [(passage, overlap) for passage in self._last.passages]

    def _settled(self) -> Arranged:
        """The chunk that was held for the longest, in the most likely order."""
        chunk = self._held.popleft()
        settled = self._order.settle(chunk.passages)
        pieces = [
            (int(begin) * self._frame, order)
            for passage, found in zip(chunk.passages, settled, strict=True)
            for begin, order in zip(passage.begins, found.orders, strict=True)
        ]
        sources = in_orders(chunk.sources, pieces or [(0, self._stay)], self._frame)
        return Arranged(chunk.start, sources, list(self._seams(chunk, settled)))

    def _seams(self, chunk: _Held, settled: list[Settled]) -> Iterator[Seam]:
        """Where a chunk begins, and where its order changes."""
        start = chunk.start
        if not settled and start > 0:
            yield Seam(start / self._rate, "silence", 1.0, False)
        before = self._stay
        for passage, found in zip(chunk.passages, settled, strict=True):
            first = passage.frames[0]
            swapped = bool((found.orders[0] != before).any())
            before = found.orders[-1]
            lead = min(found.lead, self._unsure)
            if swapped or (first == 0 and start > 0):
                yield self._seam(start, first, _method(found, swapped), lead, swapped)
                self._unsure = np.inf
            elif start == 0:
                self._unsure = lead
            changes = (found.orders[1:] != found.orders[:-1]).any(axis=1)
            for at in 1 + np.flatnonzero(changes):
                amid = min(found.lead, found.leads[at])
                yield self._seam(start, passage.begins[at], "voice", amid, swapped=True)

    def _seam(self, start: int, frame: int, method: str, lead: float, swapped: bool) -> Seam:
        seconds = (start + int(frame) * self._frame) / self._rate
        return Seam(seconds, method, round(1 - math.exp(-WORTH * max(lead, 0.0)), 3), swapped)


def _method(found: Settled, swapped: bool) -> str:
    """What told of an order."""
    if found.overlap == found.voice == 0 and not swapped:
        return "kept"
    # Where neither is for it what is heard later is: that is voices.
    return "overlap" if found.overlap > 0 and found.overlap >= found.voice else "voice"
