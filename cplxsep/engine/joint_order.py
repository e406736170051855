"""A likely order of talkers in all passages of late, found together.

What is heard later may tell what was in doubt before: that the first two passages were of two
talkers, or that half a minute was read the other way round. So the orders of the latest passages
stay open, also of those that were given away, as far as the window reaches: that cannot be undone,
but what they teach of the voices can.

The likelihood of all orders is that of the voices (two-covariance model of the speaker embedding),
each the sum of what its passages tell, of what neighbouring chunks share, and of a network that
may, but rarely does, swap its outputs behind a pause, and more rarely amid speech. It is climbed by
exchanging two talkers in a block of neighbouring stretches, the best block first, for as long as
that gains: nearly always to the most likely order of all.

A talker sounds a little different in each passage, so that ten stretches of one passage tell little
more than two: what is heard of a talker in one passage is told in one go. Where a block begins or
ends amid a passage, what is in it and what is not are told in two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from cplxsep.engine.voices import evidence, told
from cplxsep.metrics.assignment import best_permutation
from cplxsep.networks.speaker_embedding import DIMENSIONS

WINDOW = 60  # stretches whose order stays open; more only where they are held back
LONGEST = 32  # stretches of a block: of long chunks hundreds are open
STAYS = 2.5  # nats for the order that was, behind a pause within a chunk
GOES_ON = 4.5  # nats for it amid speech
HAIR = 1e-3  # nats for the network's own order in a new chunk: it stays where nothing tells
LEAST = 1e-6  # nats that an exchange must gain: no rounding error


class Link(NamedTuple):
    """Scores (N, N), in nats: that source i of an earlier stretch and source j here are one talker.

    shared: from what two chunks have of the same time.
    """

    earlier: "Stretch"
    scores: np.ndarray
    shared: bool


@dataclass(eq=False)
class Stretch:
    """A stretch of a chunk that has one order: a passage between pauses, or a part of one.

    frames: of its chunk, from the first to the one behind the last. speech: in how many of them
    each source is heard above the others (N,). heard: of each source (N, D + 1), as `told` takes
    it. amid: it begins amid speech, not behind a pause. order: talker i is source order[i],
    as is most likely so far. given: the order that it was given in, once it was.
    """

    frames: tuple[int, int]
    speech: np.ndarray
    heard: np.ndarray
    links: list[Link]
    amid: bool
    order: np.ndarray
    given: np.ndarray | None = None


class Settled(NamedTuple):
    """How the order of a stretch was found.

    order: in which it is given. overlap, voice: nats by which each is for it, against another order
    of this stretch alone. lead: of the whole over the best that has this stretch otherwise. Of two
    who are not heard it does not matter who is who; nor is a stretch asked that goes on amid speech
    in the order of the one before: infinite.
    """

    order: np.ndarray
    overlap: float
    voice: float
    lead: float


class _Exchanges(NamedTuple):
    """What it gains to exchange each pair of talkers in each block of open stretches.

    begins, ends (B,): of the blocks. voices, links (pairs, B): nats.
    """

    begins: np.ndarray
    ends: np.ndarray
    voices: np.ndarray
    links: np.ndarray


class JointOrder:
    """Follows a recording's stretches, and says in which order to give them."""

    def __init__(self, talkers: int) -> None:
        self._pairs = list(combinations(range(talkers), 2))
        self._open: list[Stretch] = []
        self._gains: _Exchanges | None = None  # of the open stretches in their orders, once found
        # What all stretches tell of each talker, and what was heard of each in the latest.
        self._known = np.zeros((talkers, 2, DIMENSIONS))
        self._latest = np.zeros((talkers, DIMENSIONS + 1))
        # Of stretches that are no longer open: what they told of each talker's voice, for how much
        # speech talker i was given as talker j, and how much speech they had.
        self._voices = np.zeros((talkers, 2, DIMENSIONS))
        self._agreed = np.zeros((talkers, talkers))
        self._speech = 0

    def add(
        self,
        frames: tuple[int, int],
        speech: np.ndarray,
        heard: np.ndarray,
        shared: Iterable[tuple[Stretch, np.ndarray]],
        *,
        amid: bool = False,
    ) -> Stretch:
        """Take a stretch; `shared`: scores of those of the chunk before, as in `Link`."""
        links = [Link(earlier, scores, True) for earlier, scores in shared if scores.any()]
        if self._open:
            # Another order differs in two places at least.
            stays = GOES_ON if amid else STAYS if frames[0] else HAIR
            links.append(Link(self._open[-1], stays / 2 * np.eye(len(heard)), False))
        alike = evidence(self._known[:, None] + told(heard)) - evidence(self._known)[:, None]
        scores = alike + sum(link.scores[link.earlier.order] for link in links)
        stretch = Stretch(frames, speech, heard, links, amid, best_permutation(scores))
        before = self._latest if amid else np.zeros_like(self._latest)
        self._latest = before + heard[stretch.order]
        self._known = self._known - told(before) + told(self._latest)
        self._open.append(stretch)
        self._gains = None
        return stretch

    def climb(self) -> None:
        """Exchange talkers in blocks of stretches for as long as the likelihood grows."""
        # Gains are not differences of one sum where blocks divide passages, so that without an end
        # to it exchanges might go in a circle.
        for _ in self._open:
            exchanges = self._exchanges()
            gains = exchanges.voices + exchanges.links
            pair, block = np.unravel_index(gains.argmax(), gains.shape)
            if not gains[pair, block] >= LEAST:  # nor where it is no number
                return
            there, back = [*self._pairs[pair]], [*reversed(self._pairs[pair])]
            for stretch in self._open[exchanges.begins[block] : exchanges.ends[block]]:
                stretch.order[there] = stretch.order[back]
            passages = np.add.reduceat(self._heard(), self._begins())
            self._latest = passages[-1]
            self._known = self._voices + told(passages).sum(axis=0)
            self._gains = None

    def settle(self, stretches: Sequence[Stretch]) -> list[Settled]:
        """The order in which to give stretches of a chunk: talkers keep their names.

        Each is called what most of their speech was given as.
        """
        if not stretches:
            return []
        agreed = self._agreed + sum(map(_agreement, self._open))
        if not agreed.any():  # nobody was given a name: the network's own are as good as others
            agreed = stretches[0].order == np.arange(len(agreed))[:, None]
        names = best_permutation(agreed)
        for stretch in stretches:
            stretch.given = stretch.order[names]
        exchanges = self._exchanges()
        said = self._said(exchanges)
        found: list[Settled] = []
        for stretch in stretches:
            if found and stretch.amid and np.array_equal(stretch.order[names], found[-1].order):
                found.append(Settled(found[-1].order, np.inf, np.inf, np.inf))
            else:
                found.append(self._settled(stretch, exchanges, said))
        self._forget()
        return found

    def _heard(self) -> np.ndarray:
        """What is heard of each talker in each open stretch (P, N, D + 1)."""
        heard = [stretch.heard[stretch.order] for stretch in self._open]
        return np.array(heard).reshape(-1, *self._latest.shape)

    def _begins(self) -> np.ndarray:
        """Where passages begin among the open stretches."""
        return np.array([at for at, one in enumerate(self._open) if not (at and one.amid)], int)

    def _exchanges(self) -> _Exchanges:
        if self._gains is None:
            self._gains = self._found_exchanges()
        return self._gains

    def _found_exchanges(self) -> _Exchanges:
        begins, ends = np.triu_indices(len(self._open) + 1, 1)
        short = ends - begins <= LONGEST
        begins, ends = begins[short], ends[short]
        parts = _divided(self._heard(), self._begins(), begins, ends)
        links = [(link, stretch) for stretch in self._open for link in stretch.links]
        position = {id(stretch): index for index, stretch in enumerate(self._open)}
        # What lies before the open stretches is in no block.
        ends_of_links = np.array(
            [[position.get(id(one), -1) for one in (link.earlier, here)] for link, here in links],
            dtype=int,
        ).reshape(-1, 2)
        voices, linked = [], []
        for i, j in self._pairs:
            voices.append(_if_exchanged(self._known, *parts, i, j))
            gains = np.array([_if_crossed(link, here, i, j) for link, here in links])
            linked.append(_crossing(ends_of_links, gains, len(self._open))[begins, ends])
        return _Exchanges(begins, ends, np.stack(voices), np.stack(linked))

    def _said(self, exchanges: _Exchanges) -> np.ndarray:
        """Frames in which each talker is heard in each block (B, N)."""
        said = np.array([each.speech[each.order] for each in self._open])
        said = np.concatenate([np.zeros_like(said[:1]), said.cumsum(axis=0)])
        return said[exchanges.ends] - said[exchanges.begins]

    def _settled(self, stretch: Stretch, exchanges: _Exchanges, said: np.ndarray) -> Settled:
        at, pairs = self._open.index(stretch), np.array(self._pairs)
        end = at + 1  # it goes on to the next pause, in whatever order
        while end < min(len(self._open), at + LONGEST) and self._open[end].amid:
            end += 1
        heard = said.T[pairs].any(axis=1)
        alone = heard & (exchanges.begins == at) & (exchanges.ends == end)
        overlaps = [
            -sum(
                _if_crossed(link, one, i, j)
                for one in self._open[at:end]
                for link in one.links
                if link.shared
            )
            for i, j in pairs[alone.any(axis=1)]
        ]
        # To exchange talkers in most of what was said is to exchange them in the rest.
        total = self._speech + sum(each.speech.sum() for each in self._open)
        rivals = heard & (exchanges.begins <= at) & (end <= exchanges.ends)
        rivals &= 2 * said.sum(axis=1) <= total
        gains = exchanges.voices + exchanges.links
        assert stretch.given is not None
        return Settled(
            stretch.given,
            min(overlaps),
            -exchanges.voices[alone].max(),
            -gains[rivals].max(initial=-np.inf),
        )

    def _forget(self) -> None:
        """Settle for good the oldest stretches that were given, beyond so many."""
        while len(self._open) > WINDOW and self._open[0].given is not None:
            count = int([*self._begins()[1:], len(self._open)][0])
            self._voices = self._voices + told(self._heard()[:count].sum(axis=0))
            self._gains = None
            for oldest in self._open[:count]:
                self._agreed = self._agreed + _agreement(oldest)
                self._speech += oldest.speech.sum()
                oldest.links.clear()  # or each would keep all that were before it
            del self._open[:count]


def _divided(
    heard: np.ndarray, starts: np.ndarray, begins: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What blocks tell of each talker's voice, and how the rest of all passages then changes.

    Both (B, N, 2, D). Where a block begins or ends amid a passage, the part of it within and that
    without are told apart. The second is what is told without the block, less what all passages
    tell as they are.

    Args:
        heard: of each talker in each stretch (P, N, D + 1).
        starts: where passages begin.
        begins, ends: of the blocks (B,).
    """
    stops = np.append(starts[1:], len(heard))
    of = np.searchsorted(starts, np.arange(len(heard)), side="right") - 1  # stretches' passages
    total = np.concatenate([np.zeros_like(heard[:1]), heard.cumsum(axis=0)])
    first, last = starts[of], stops[of]
    passages = told(total[stops] - total[starts])
    whole = np.concatenate([np.zeros_like(passages[:1]), passages.cumsum(axis=0)])
    # Of a passage from a stretch on, and up to and with one.
    head, tail = told(total[last] - total[:-1]), told(total[1:] - total[first])
    block = (head - whole[of + 1])[begins] + (tail + whole[of])[ends - 1]
    within = np.flatnonzero(of[begins] == of[ends - 1])
    block[within] = told(total[ends[within]] - total[begins[within]])
    # What is left of it before a stretch, and behind one.
    before, behind = told(total[:-1] - total[first]), told(total[last] - total[1:])
    rest = (before + whole[of])[begins] + (behind - whole[of + 1])[ends - 1]
    return block, rest


def _if_exchanged(
    known: np.ndarray, block: np.ndarray, rest: np.ndarray, i: int, j: int
) -> np.ndarray:
    """Nats (B,) that voices gain if talkers i and j are exchanged in blocks, from `_divided`.

    `known` (N, 2, D) is what all passages tell of each talker.
    """
    mine, its = known[i] + rest[:, i], known[j] + rest[:, j]
    exchanged = evidence(mine + block[:, j]) + evidence(its + block[:, i])
    return exchanged - evidence(mine + block[:, i]) - evidence(its + block[:, j])


def _agreement(stretch: Stretch) -> np.ndarray | float:
    """Frames of speech for which talker i was given as talker j (N, N)."""
    if stretch.given is None:
        return 0.0
    return stretch.speech[stretch.order] * (stretch.given[:, None] == stretch.order)


def _crossing(ends: np.ndarray, gains: np.ndarray, stretches: int) -> np.ndarray:
    """What the links gain, of which one end (L, 2) lies in a block: [first, behind its last]."""
    earlier, here = ends.T
    known = earlier >= 0
    within = np.zeros((stretches + 1, stretches + 1))
    np.add.at(within, (earlier[known], here[known] + 1), gains[known])
    within = within[::-1].cumsum(axis=0)[::-1].cumsum(axis=1)  # links with both ends in a block
    of_one = np.bincount(here, gains, stretches)
    of_one += np.bincount(earlier[known], gains[known], stretches)
    of_all = np.concatenate([[0.0], of_one.cumsum()])
    return of_all - of_all[:, None] - 2 * within


def _if_crossed(link: Link, here: Stretch, i: int, j: int) -> float:
    """Nats that it gains to exchange talkers i and j at one end of a link."""
    there, order = link.earlier.order, here.order
    exchanged = link.scores[there[i], order[j]] + link.scores[there[j], order[i]]
    return float(exchanged - link.scores[there[i], order[i]] - link.scores[there[j], order[j]])
