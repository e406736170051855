"""A passage of a chunk, between pauses, whose stretches may be of other orders of its talkers."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cplxsep.engine.voices import told


class Link(NamedTuple):
    """Scores (N, N), in nats: that source i of an earlier passage and source j here are one talker.

    At the end of that one, and the beginning of this. shared: from what two chunks have of the same
    time.
    """

    earlier: "Passage"
    scores: np.ndarray
    shared: bool

    def if_crossed(self, here: "Passage", i: int, j: int) -> float:
        """Nats that it gains to exchange talkers i and j at one end of it."""
        there, order = self.earlier.orders[-1], here.orders[0]
        exchanged = self.scores[there[i], order[j]] + self.scores[there[j], order[i]]
        return float(exchanged - self.scores[there[i], order[i]] - self.scores[there[j], order[j]])


@dataclass(eq=False)
class Passage:
    """A passage of a chunk, between pauses, in stretches amid which no order changes.

    frames: of its chunk, from the first to the one behind the last. begins (K,): where stretches
    begin. speech (K, N): in how many of their frames each source is heard above the others. heard
    (K, N, D + 1): of each source, as `told` takes it. orders (K, N): talker i is source
    orders[k, i] of stretch k, as is most likely so far. voices (N, 2, D): what all of it tells of
    the talkers' voices. said (N,): in how many frames each talker is heard. leads (K,): nats that a
    change of the order there gains. given (K, N): the orders that it was given in, once it was;
    agreed (N, N): frames of speech for which talker i was given as talker j.
    """

    frames: tuple[int, int]
    begins: np.ndarray
    speech: np.ndarray
    heard: np.ndarray
    links: list[Link]
    orders: np.ndarray
    voices: np.ndarray
    said: np.ndarray = field(init=False)
    leads: np.ndarray = field(init=False)
    given: np.ndarray | None = None
    agreed: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        talkers = self.orders.shape[1]
        self.said = self._said().sum(axis=0)
        self.leads = np.full(len(self.heard), np.inf)
        self.agreed = np.zeros((talkers, talkers))

    @cached_property
    def stretches(self) -> np.ndarray:
        """What each stretch alone tells of its sources' voices (K, N, 2, D)."""
        return told(self.heard)

    def follow(self, orders: np.ndarray) -> None:
        """Take these orders of the stretches; of a talker all is told in one go."""
        self.orders = orders
        heard = np.take_along_axis(self.heard, orders[..., None], axis=1)
        self.voices, self.said = told(heard.sum(axis=0)), self._said().sum(axis=0)

    def exchange(self, i: int, j: int) -> None:
        """Exchange two talkers in all of it."""
        self.orders[:, [i, j]] = self.orders[:, [j, i]]
        for of_talkers in (self.voices, self.said, self.agreed):
            of_talkers[[i, j]] = of_talkers[[j, i]]

    def give(self, orders: np.ndarray) -> None:
        """Say in which orders it is given."""
        self.given = orders
        as_given = orders[..., None] == self.orders[:, None]
        self.agreed = (self._said()[:, None] * as_given).sum(axis=0)

    def _said(self) -> np.ndarray:
        """In how many frames of each stretch each talker is heard (K, N)."""
        return np.take_along_axis(self.speech, self.orders, axis=1)
