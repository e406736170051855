"""A likely order of talkers in all passages of late, found together.

What is heard later may tell what was in doubt before: that the first two passages were of two
talkers, or that half a minute was read the other way round. So the orders of the latest passages
stay open, also of those that were given away, as far as the window reaches: that cannot be undone,
but what they teach of the voices can.

The likelihood of all orders is that of the voices (two-covariance model of the speaker embedding),
each the sum of what its passages tell, of what neighbouring chunks share, and of a network that
may, but rarely does, swap its outputs behind a pause. It is climbed by exchanging two talkers in a
block of neighbouring passages, the best block first, for as long as that gains: nearly always to
the most likely order of all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from cplxsep.engine.voices import evidence
from cplxsep.metrics.assignment import best_permutation
from cplxsep.networks.speaker_embedding import DIMENSIONS

WINDOW = 20  # passages whose order stays open; more only where they are held back
LONGEST = 64  # passages of a block: of long chunks hundreds are open
STAYS = 2.5  # nats for the order that was, behind a pause within a chunk
HAIR = 1e-3  # nats for the network's own order in a new chunk: it stays where nothing tells
LEAST = 1e-6  # nats that an exchange must gain: no rounding error


class Link(NamedTuple):
    """Scores (N, N), in nats: that source i of an earlier passage and source j here are one talker.

    shared: from what two chunks have of the same time.
    """

    earlier: "Passage"
    scores: np.ndarray
    shared: bool


@dataclass(eq=False)
class Passage:
    """A passage of a chunk, between pauses.

    frames: of its chunk, from the first to the one behind the last. speech: in how many of them
    each source is heard above the others (N,). voices: what each source tells of its talker's
    (N, 2, D). order: talker i is source order[i], as is most likely so far. given: the order that
    it was given in, once it was.
    """

    frames: tuple[int, int]
    speech: np.ndarray
    voices: np.ndarray
    links: list[Link]
    order: np.ndarray
    given: np.ndarray | None = None


class Settled(NamedTuple):
    """How the order of a passage was found.

    order: in which it is given. overlap, voice: nats by which each is for it, against another order
    of this passage alone. lead: of the whole over the best that has this passage otherwise. Of two
    who are not heard it does not matter who is who.
    """

    order: np.ndarray
    overlap: float
    voice: float
    lead: float


class _Exchanges(NamedTuple):
    """What it gains to exchange each pair of talkers in each block of open passages.

    begins, ends (B,): of the blocks. voices, links (pairs, B): nats.
    """

    begins: np.ndarray
    ends: np.ndarray
    voices: np.ndarray
    links: np.ndarray


class JointOrder:
    """Follows a recording's passages, and says in which order to give them."""

    def __init__(self, talkers: int) -> None:
        self._pairs = list(combinations(range(talkers), 2))
        self._open: list[Passage] = []
        self._gains: _Exchanges | None = None  # of the open passages in their orders, once found
        # Of passages that are no longer open: what they told of each talker's voice, for how much
        # speech talker i was given as talker j, and how much speech they had.
        self._voices = np.zeros((talkers, 2, DIMENSIONS))
        self._agreed = np.zeros((talkers, talkers))
        self._speech = 0

    def add(
        self,
        frames: tuple[int, int],
        speech: np.ndarray,
        voices: np.ndarray,
        shared: Iterable[tuple[Passage, np.ndarray]],
    ) -> Passage:
        """Take a passage; `shared`: scores of those of the chunk before, as in `Link`."""
        links = [Link(earlier, scores, True) for earlier, scores in shared if scores.any()]
        if self._open:
            # Another order differs in two places at least.
            stays = (STAYS if frames[0] else HAIR) / 2 * np.eye(len(voices))
            links.append(Link(self._open[-1], stays, False))
        known = self._voices + self._heard().sum(axis=0)
        alike = evidence(known[:, None] + voices) - evidence(known)[:, None]
        scores = alike + sum(link.scores[link.earlier.order] for link in links)
        passage = Passage(frames, speech, voices, links, best_permutation(scores))
        self._open.append(passage)
        self._gains = None
        return passage

    def climb(self) -> None:
        """Exchange talkers in blocks of passages for as long as the likelihood grows."""
        while self._open:
            exchanges = self._exchanges()
            gains = exchanges.voices + exchanges.links
            pair, block = np.unravel_index(gains.argmax(), gains.shape)
            if not gains[pair, block] >= LEAST:  # nor where it is no number
                return
            there, back = [*self._pairs[pair]], [*reversed(self._pairs[pair])]
            for passage in self._open[exchanges.begins[block] : exchanges.ends[block]]:
                passage.order[there] = passage.order[back]
            self._gains = None

    def settle(self, passages: Sequence[Passage]) -> list[Settled]:
        """The order in which to give passages of a chunk: talkers keep their names.

        Each is called what most of their speech was given as.
        """
        if not passages:
            return []
        agreed = self._agreed + sum(map(_agreement, self._open))
        if not agreed.any():  # nobody was given a name: the network's own are as good as others
            agreed = passages[0].order == np.arange(len(agreed))[:, None]
        names = best_permutation(agreed)
        for passage in passages:
            passage.given = passage.order[names]
        exchanges = self._exchanges()
        said = self._said(exchanges)
        found = [self._settled(passage, exchanges, said) for passage in passages]
        self._forget()
        return found

    def _heard(self) -> np.ndarray:
        """What open passages tell of each talker's voice (P, N, 2, D)."""
        heard = [passage.voices[passage.order] for passage in self._open]
        return np.array(heard).reshape(-1, *self._voices.shape)

    def _exchanges(self) -> _Exchanges:
        if self._gains is None:
            self._gains = self._found_exchanges()
        return self._gains

    def _found_exchanges(self) -> _Exchanges:
        begins, ends = np.triu_indices(len(self._open) + 1, 1)
        short = ends - begins <= LONGEST
        begins, ends = begins[short], ends[short]
        heard = self._heard()
        known = self._voices + heard.sum(axis=0)
        apart = evidence(known)
        links = [(link, passage) for passage in self._open for link in passage.links]
        position = {id(passage): index for index, passage in enumerate(self._open)}
        # What lies before the open passages is in no block.
        ends_of_links = np.array(
            [[position.get(id(one), -1) for one in (link.earlier, here)] for link, here in links],
            dtype=int,
        ).reshape(-1, 2)
        voices, linked = [], []
        for i, j in self._pairs:
            moved = np.cumsum(heard[:, j] - heard[:, i], axis=0)
            moved = np.concatenate([np.zeros_like(moved[:1]), moved])
            moved = moved[ends] - moved[begins]
            voices.append(evidence(known[i] + moved) + evidence(known[j] - moved))
            voices[-1] -= apart[i] + apart[j]
            gains = np.array([_if_crossed(link, here, i, j) for link, here in links])
            linked.append(_crossing(ends_of_links, gains, len(self._open))[begins, ends])
        return _Exchanges(begins, ends, np.stack(voices), np.stack(linked))

    def _said(self, exchanges: _Exchanges) -> np.ndarray:
        """Frames in which each talker is heard in each block (B, N)."""
        said = np.array([each.speech[each.order] for each in self._open])
        said = np.concatenate([np.zeros_like(said[:1]), said.cumsum(axis=0)])
        return said[exchanges.ends] - said[exchanges.begins]

    def _settled(self, passage: Passage, exchanges: _Exchanges, said: np.ndarray) -> Settled:
        at, pairs = self._open.index(passage), np.array(self._pairs)
        heard = said.T[pairs].any(axis=1)
        alone = heard & (exchanges.begins == at) & (exchanges.ends == at + 1)
        overlaps = [
            -sum(_if_crossed(link, passage, i, j) for link in passage.links if link.shared)
            for i, j in pairs[alone.any(axis=1)]
        ]
        # To exchange talkers in most of what was said is to exchange them in the rest.
        total = self._speech + sum(each.speech.sum() for each in self._open)
        rivals = heard & (exchanges.begins <= at) & (at < exchanges.ends)
        rivals &= 2 * said.sum(axis=1) <= total
        gains = exchanges.voices + exchanges.links
        assert passage.given is not None
        return Settled(
            passage.given,
            min(overlaps),
            -exchanges.voices[alone].max(),
            -gains[rivals].max(initial=-np.inf),
        )

    def _forget(self) -> None:
        """Settle for good the oldest passages that were given, beyond so many."""
        while len(self._open) > WINDOW and self._open[0].given is not None:
            oldest = self._open.pop(0)
            self._gains = None
            self._voices = self._voices + oldest.voices[oldest.order]
            self._agreed = self._agreed + _agreement(oldest)
            self._speech += oldest.speech.sum()
            oldest.links.clear()  # or each would keep all that were before it


def _agreement(passage: Passage) -> np.ndarray | float:
    """Frames of speech for which talker i was given as talker j (N, N)."""
    if passage.given is None:
        return 0.0
    return passage.speech[passage.order] * (passage.given[:, None] == passage.order)


def _crossing(ends: np.ndarray, gains: np.ndarray, passages: int) -> np.ndarray:
    """What the links gain, of which one end (L, 2) lies in a block: [first, behind its last]."""
    earlier, here = ends.T
    known = earlier >= 0
    within = np.zeros((passages + 1, passages + 1))
    np.add.at(within, (earlier[known], here[known] + 1), gains[known])
    within = within[::-1].cumsum(axis=0)[::-1].cumsum(axis=1)  # links with both ends in a block
    of_one = np.bincount(here, gains, passages)
    of_one += np.bincount(earlier[known], gains[known], passages)
    of_all = np.concatenate([[0.0], of_one.cumsum()])
    return of_all - of_all[:, None] - 2 * within


def _if_crossed(link: Link, here: Passage, i: int, j: int) -> float:
    """Nats that it gains to exchange talkers i and j at one end of a link."""
    there, order = link.earlier.order, here.order
    exchanged = link.scores[there[i], order[j]] + link.scores[there[j], order[i]]
    return float(exchanged - link.scores[there[i], order[i]] - link.scores[there[j], order[j]])
