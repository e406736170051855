"""Hypotheses of who speaks where, followed side by side: the best of them are kept (a beam).

What is heard later may tell what was in doubt before: a second talker, that the first two passages
were of one. Scores are log-likelihoods in nats, less what all hypotheses share: of voices, of what
overlaps with the chunk before, and of a network that may, but rarely does, swap its outputs behind
a pause.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from cplxsep.engine.orders import lead_of
from cplxsep.engine.overlap import Overlap
from cplxsep.engine.voices import Voice, likeness
from cplxsep.metrics.assignment import best_permutation

BEAM = 8
NEW_FRAMES = 15  # frames of speech that a voice begins with: fewer may be what leaks
UNKNOWN = 2.5  # likeness of one not heard before: talkers of one recording sound alike
STAYS = 2.5  # nats for the order that was, behind a pause
HAIR = 1e-3  # nats for the network's own order in a new chunk: it stays where nothing tells


class Passage(NamedTuple):
    """From a frame of its chunk on, talker i is source order[i].

    told: what that was found from, "overlap", "voice", "kept" or "silence".
    """

    first: int
    order: np.ndarray
    told: str


@dataclass(frozen=True)
class Hypothesis:
    """Talkers and their order so far.

    score: nats behind the best one, at most 0. voices: of each talker; None before a voice was
    heard. chunks: passages of the latest ones.
    """

    score: float
    voices: tuple[Voice | None, ...]
    chunks: tuple[tuple[Passage, ...], ...] = ()

    @classmethod
    def first(cls, talkers: int) -> "Hypothesis":
        """Nobody was heard."""
        return cls(0.0, (None,) * talkers)

    def next_chunk(self, kept: int) -> "Hypothesis":
        """The same before anything of a new chunk is heard; so many before it are kept."""
        return replace(self, chunks=(*self.chunks[-kept:], ()))

    def silent(self) -> "Hypothesis":
        """The same where nobody speaks in the new chunk, so that any order is right."""
        order = np.arange(len(self.voices))
        return self.with_passage(Passage(0, order, "silence"), self.score, self.voices)

    def with_passage(
        self, passage: Passage, score: float, voices: tuple[Voice | None, ...]
    ) -> "Hypothesis":
        """After one more passage of the new chunk."""
        chunks = (*self.chunks[:-1], (*self.chunks[-1], passage))
        return Hypothesis(score, voices, chunks)


def extended(
    hypotheses: list[Hypothesis],
    heard: list[Voice | None],
    overlap: Overlap | None,
    first: int,
    last: int,
) -> list[Hypothesis]:
    """The best hypotheses with one more passage, of some frames of a chunk; the best one first.

    heard: the voice of each source in it; None where one says too little.
    """
    talkers = np.arange(len(heard))
    known = [voice for hypothesis in hypotheses for voice in hypothesis.voices]
    # How alike heard voices are to each other is wanted too, where one is new.
    scores = likeness([*known, *heard], heard, UNKNOWN).reshape(-1, len(heard), len(heard))
    candidates = []
    for hypothesis, alike in zip(hypotheses, scores[:-1], strict=True):
        *_, before, passages = ((), *hypothesis.chunks)
        pieces = [(passage.first, passage.order) for passage in before]
        match = overlap.match(pieces, first, last) if overlap else np.zeros_like(alike)
        stays = np.zeros_like(alike)
        # Another order differs in two places at least.
        if passages:
            stays[talkers, passages[-1].order] = STAYS / 2
        else:
            stays[talkers, talkers] = HAIR / 2
        total = match + alike + stays
        for order in _orders(total, hypothesis.voices, match):
            score = hypothesis.score + total[talkers, order].sum()
            candidates.append((score, order, hypothesis, alike, match))
    candidates.sort(key=lambda candidate: -candidate[0])
    best = candidates[0][0]
    return [
        hypothesis.with_passage(
            Passage(first, order, _what_told(order, match, alike)),
            score - best,
            _learnt(hypothesis.voices, heard, order, alike, scores[-1]),
        )
        for score, order, hypothesis, alike, match in candidates[:BEAM]
    ]


def _orders(
    scores: np.ndarray, voices: tuple[Voice | None, ...], match: np.ndarray
) -> Iterator[np.ndarray]:
    """The best order, and it with two talkers exchanged, who are not the same to us."""
    best = best_permutation(scores)
    yield best
    for pair in combinations(range(len(best)), 2):
        # Which of two who were not heard before is which makes no difference.
        if match.any() or any(voices[talker] is not None for talker in pair):
            order = best.copy()
            order[[*pair]] = best[[*reversed(pair)]]
            yield order


def _learnt(
    voices: tuple[Voice | None, ...],
    heard: list[Voice | None],
    order: np.ndarray,
    alike: np.ndarray,
    among: np.ndarray,
) -> tuple[Voice | None, ...]:
    """Voices after what was heard, in that order; alike: to each talker, among: to each other."""
    learnt = list(voices)
    said = [
        (voice.frames, talker) for talker in range(len(order)) if (voice := heard[order[talker]])
    ]
    for _, talker in sorted(said, reverse=True):
        source, known = order[talker], voices[talker]
        voice = heard[source]
        assert voice is not None
        # Half of a talker whom the network split over two outputs is no other talker. A known one
        # may well sound new: a voice that took up only what is like it would narrow.
        others = [
            alike[other, source] if voices[other] is not None else among[order[other], source]
            for other in range(len(order))
            if other != talker and learnt[other] is not None
        ]
        if others and alike[talker, source] < max(others):
            continue
        if known is not None:
            learnt[talker] = known.with_more(voice)
        elif voice.frames >= NEW_FRAMES:
            learnt[talker] = voice
    return tuple(learnt)


def _what_told(order: np.ndarray, match: np.ndarray, alike: np.ndarray) -> str:
    """Which of the two said more for an order: "overlap" or "voice"; "kept": neither anything."""
    matched, sounds = lead_of(order, match), lead_of(order, alike)
    if matched == sounds == 0:
        return "kept"
    # Where neither is for it what is heard later is: that is voices.
    return "overlap" if matched > 0 and matched >= sounds else "voice"
