"""Who talks in a mixture: drawn from a seed and an index alone, before any audio is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.data.manifest import Utterance
from cplxsep.errors import InputError

Range = tuple[float, float]
_NEAR = 0.1  # of the talkers, who are alike in pitch


@dataclass(frozen=True)
class MixturePlan:
    """Positions of the utterances in the planner's list, levels, and where in their room they lie.

    `snr_db[i]` is how much louder talker 1 is than talker i. `places[i]`, from 0 to 1, is the
    share of the room between a source and the mixture's length that comes before.
    """

    utterances: tuple[int, ...]
    snr_db: tuple[float, ...]
    places: tuple[float, ...]


def generator(seed: int, *index: int) -> np.random.Generator:
    """Random numbers that depend on the seed and the index alone."""
    return np.random.default_rng(np.random.SeedSequence((seed, *index)))


class Odds:
    """Positions by how likely each is, drawn as NumPy's `choice` would, but at once."""

    def __init__(self, weights: np.ndarray) -> None:
        ends = (weights / weights.sum()).cumsum()
        self._ends = ends / ends[-1]

    def draw(self, rng: np.random.Generator) -> int:
        """One position."""
        return int(self._ends.searchsorted(rng.random(), side="right"))


class Planner:
    """Draws mixtures of different talkers: talkers alike likely, their utterances by length.

    In a share `similar` of them all talkers have about the pitch of the first; `pitch` gives that
    of the utterance at a position, in Hz, None where it has none.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        *,
        sources: int,
        snr: Range,
        similar: float = 0.0,
        pitch: Callable[[int], float | None] = lambda _position: None,
    ) -> None:
        """InputError where there are fewer talkers than `sources`."""
        self.sources = sources
        self.snr = snr
        table: dict[str, list[int]] = {}
        for position, utterance in enumerate(utterances):
            table.setdefault(utterance.talker, []).append(position)
        if len(table) < sources:
            raise InputError(
                f"mixtures of {sources} talkers need {sources} different speakers: "
                f"there {'is' if len(table) == 1 else 'are'} only {len(table)}"
            )
        self._talkers = [utterance.talker for utterance in utterances]
        self._table = table
        self._positions = [table[name] for name in sorted(table)]
        self._similar = similar
        heights = [pitch(own[0]) or 0.0 for own in self._positions] if similar else []
        self._by_pitch = np.argsort(heights, kind="stable")
        self._ends = [
            np.cumsum([utterances[position].seconds for position in positions])
            for positions in self._positions
        ]

    def recordings_of(self, position: int) -> list[int]:
        """Positions of all utterances of the talker of one."""
        return self._table[self._talkers[position]]

    def draw(self, rng: np.random.Generator) -> MixturePlan:
        """One mixture. The draws are made in a fixed order: more can follow from the same `rng`."""
        talkers = rng.choice(len(self._positions), self.sources, replace=False)
        if self._similar and rng.random() < self._similar:
            talkers = self._alike(int(talkers[0]), rng)
        chosen = []
        for talker, where in zip(talkers, rng.random(self.sources), strict=True):
            ends = self._ends[talker]
            pick = min(int(np.searchsorted(ends, where * ends[-1], side="right")), len(ends) - 1)
            chosen.append(self._positions[talker][pick])
        snr = rng.uniform(*self.snr, size=self.sources - 1)
        places = rng.random(self.sources)
        return MixturePlan(tuple(chosen), (0.0, *map(float, snr)), tuple(map(float, places)))

    def _alike(self, first: int, rng: np.random.Generator) -> np.ndarray:
        """A talker and others from the tenth of all talkers that is nearest in pitch."""
        count = len(self._by_pitch)
        reach = min(max(round(_NEAR * count), self.sources), count)
        place = int(np.flatnonzero(self._by_pitch == first)[0])
        begin = min(max(place - reach // 2, 0), count - reach)
        near = self._by_pitch[begin : begin + reach]
        others = rng.choice(near[near != first], self.sources - 1, replace=False)
        return np.concatenate([[first], others])
