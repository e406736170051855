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

A network swaps its outputs amid speech, too. So a passage is followed stretch by stretch: each is
of the talkers whose voices, as all other passages tell of them, it fits best, and goes on in the
order of the one before unless much tells that it does not. A talker sounds a little different in
each passage, by which all stretches of one are alike: so it takes others to tell of their order.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np

from cplxsep.engine.followed import Link, Passage
from cplxsep.engine.likely_path import leads, likely_path
from cplxsep.engine.voices import evidence, told
from cplxsep.metrics.assignment import best_permutation
from cplxsep.networks.speaker_embedding import DIMENSIONS

WINDOW = 20  # passages whose order stays open; more only where they are held back
LONGEST = 64  # passages of a block: of long chunks hundreds are open
STAYS = 2.5  # nats for the order that was, behind a pause within a chunk
GOES_ON = 4.5  # nats for it amid speech
MOST = 5  # talkers who are followed amid speech: of more there are too many orders
HAIR = 1e-3  # nats for the network's own order in a new chunk: it stays where nothing tells
LEAST = 1e-6  # nats that an exchange must gain: no rounding error


class Settled(NamedTuple):
    """How the orders of a passage were found.

    orders (K, N): of its stretches, in which they are given. overlap, voice: nats by which each is
    for them, against another order of this passage alone. lead: of the whole over the best that has
    this passage otherwise. Of two who are not heard it does not matter who is who. leads (K,): as
    in `Passage`.
    """

    orders: np.ndarray
    overlap: float
    voice: float
    lead: float
    leads: np.ndarray


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
        self._any = np.array(list(permutations(range(talkers)) if talkers <= MOST else []))
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
        begins: np.ndarray,
        speech: np.ndarray,
        heard: np.ndarray,
        shared: Iterable[tuple[Passage, np.ndarray]],
    ) -> Passage:
        """Take a passage; `shared`: scores of those of the chunk before, as in `Link`."""
        links = [Link(earlier, scores, True) for earlier, scores in shared if scores.any()]
        if self._open:
            # Another order differs in two places at least.
            stays = (STAYS if frames[0] else HAIR) / 2 * np.eye(heard.shape[1])
            links.append(Link(self._open[-1], stays, False))
        voices = told(heard.sum(axis=0))
        alike = _fits(self._known()[:, None], voices)
        scores = alike + sum(link.scores[link.earlier.orders[-1]] for link in links)
        order = best_permutation(scores)
        orders = np.tile(order, (len(heard), 1))
        passage = Passage(frames, begins, speech, heard, links, orders, voices[order])
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
            for passage in self._open[exchanges.begins[block] : exchanges.ends[block]]:
                passage.exchange(*self._pairs[pair])
            self._gains = None

    def divide(self) -> None:
        """Follow talkers amid passages that were not given, each by what all others tell."""
        if not len(self._any):
            return
        waiting = [each for each in self._open if each.given is None and len(each.heard) > 1]
        while waiting:
            for scores in self._scores(waiting):
                passage, path = waiting.pop(0), likely_path(scores, GOES_ON)
                passage.leads = leads(scores, path, GOES_ON)
                if (self._any[path] != passage.orders).any():
                    passage.follow(self._any[path])
                    self._gains = None
                    break  # others hear of it

    def _scores(self, passages: Sequence[Passage]) -> list[np.ndarray]:
        """Nats for each order of each stretch (K, orders), by all that is not of their passage."""
        counts = [len(passage.heard) for passage in passages]
        known = self._known() - np.stack([passage.voices for passage in passages])
        told_of = np.concatenate([passage.stretches for passage in passages])
        fits = _fits(np.repeat(known, counts, axis=0)[:, :, None], told_of[:, None])
        talkers = np.arange(len(self._voices))
        found = np.split(fits[:, talkers, self._any].sum(axis=-1), np.cumsum(counts)[:-1])
        index = dict(zip(passages, found, strict=True))
        for here in self._open:
            for link in here.links:
                if here in index:
                    there = link.earlier.orders[-1]
                    index[here][0] += link.scores[there, self._any].sum(axis=-1)
                if link.earlier in index:
                    there = here.orders[0]
                    index[link.earlier][-1] += link.scores[self._any, there].sum(axis=-1)
        return found

    def settle(self, passages: Sequence[Passage]) -> list[Settled]:
        """The order in which to give passages of a chunk: talkers keep their names.

        Each is called what most of their speech was given as.
        """
        if not passages:
            return []
        agreed = self._agreed + sum(each.agreed for each in self._open)
        if not agreed.any():  # nobody was given a name: the network's own are as good as others
            agreed = passages[0].orders[0] == np.arange(len(agreed))[:, None]
        names = best_permutation(agreed)
        for passage in passages:
            passage.give(passage.orders[:, names])
        exchanges = self._exchanges()
        heard, rivals = self._heard_in(exchanges)
        found = [self._settled(passage, exchanges, heard, rivals) for passage in passages]
        self._forget()
        return found

    def _heard(self) -> np.ndarray:
        """What open passages tell of each talker's voice (P, N, 2, D)."""
        heard = [passage.voices for passage in self._open]
        return np.array(heard).reshape(-1, *self._voices.shape)

    def _known(self) -> np.ndarray:
        """What all passages tell of each talker's voice (N, 2, D)."""
        return self._voices + self._heard().sum(axis=0)

    def _exchanges(self) -> _Exchanges:
        if self._gains is None:
            self._gains = self._found_exchanges()
        return self._gains

    def _found_exchanges(self) -> _Exchanges:
        begins, ends = _blocks(len(self._open))
        heard = self._heard()
        known = self._known()
        links = [(link, passage) for passage in self._open for link in passage.links]
        position = {id(passage): index for index, passage in enumerate(self._open)}
        # What lies before the open passages is in no block.
        ends_of_links = np.array(
            [[position.get(id(one), -1) for one in (link.earlier, here)] for link, here in links],
            dtype=int,
        ).reshape(-1, 2)
        voices, linked = [], []
        apart = evidence(known)
        for i, j in self._pairs:
            moved = np.cumsum(heard[:, j] - heard[:, i], axis=0)
            moved = np.concatenate([np.zeros_like(moved[:1]), moved])
            moved = moved[ends] - moved[begins]
            exchanged = evidence(np.stack([known[i] + moved, known[j] - moved]))
            voices.append(exchanged.sum(axis=0) - (apart[i] + apart[j]))
            gains = np.array([link.if_crossed(here, i, j) for link, here in links])
            linked.append(_crossing(ends_of_links, gains, len(self._open))[begins, ends])
        return _Exchanges(begins, ends, np.stack(voices), np.stack(linked))

    def _heard_in(self, exchanges: _Exchanges) -> tuple[np.ndarray, np.ndarray]:
        """In which blocks one of each pair is heard (pairs, B), and that of at most half of all."""
        said = np.array([each.said for each in self._open])
        said = np.concatenate([np.zeros_like(said[:1]), said.cumsum(axis=0)])
        total = self._speech + said[-1].sum()
        said = said[exchanges.ends] - said[exchanges.begins]
        heard = said.T[np.array(self._pairs)].any(axis=1)
        # To exchange talkers in most of what was said is to exchange them in the rest.
        return heard, heard & (2 * said.sum(axis=1) <= total)

    def _settled(
        self, passage: Passage, exchanges: _Exchanges, heard: np.ndarray, rivals: np.ndarray
    ) -> Settled:
        at = self._open.index(passage)
        alone = heard & (exchanges.begins == at) & (exchanges.ends == at + 1)
        overlaps = [
            -sum(link.if_crossed(passage, i, j) for link in passage.links if link.shared)
            for (i, j), its in zip(self._pairs, alone.any(axis=1), strict=True)
            if its
        ]
        others = rivals & (exchanges.begins <= at) & (at < exchanges.ends)
        gains = exchanges.voices + exchanges.links
        assert passage.given is not None
        return Settled(
            passage.given,
            min(overlaps),
            -exchanges.voices[alone].max(),
            -gains[others].max(initial=-np.inf),
            passage.leads,
        )

    def _forget(self) -> None:
        """Settle for good the oldest passages that were given, beyond so many."""
        while len(self._open) > WINDOW and self._open[0].given is not None:
            oldest = self._open.pop(0)
            self._gains = None
            self._voices = self._voices + oldest.voices
            self._agreed = self._agreed + oldest.agreed
            self._speech += oldest.speech.sum()
            oldest.links.clear()  # or each would keep all that were before it


def _fits(known: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Nats that more (..., M, 2, D) is of a talker of whom so much is known (..., 1, 2, D)."""
    found = evidence(known + np.concatenate([more, np.zeros_like(more[..., :1, :, :])], axis=-3))
    return found[..., :-1] - found[..., -1:]


@lru_cache(maxsize=32)
def _blocks(passages: int) -> tuple[np.ndarray, np.ndarray]:
    """The first passage of each block (B,) of so many, and the one behind its last."""
    begins, ends = np.triu_indices(passages + 1, 1)
    short = ends - begins <= LONGEST
    return begins[short], ends[short]


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
