"""Conversations, as numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.data.drawing.coded import Coded
from cplxsep.data.drawing.drawing import Drawing
from cplxsep.data.drawing.harms import Harms
from cplxsep.data.drawing.noises import Noises
from cplxsep.data.drawing.numbers import even, floats
from cplxsep.data.drawing.pieces import Piece, Pieces
from cplxsep.data.drawing.sketch import Sketch, Span
from cplxsep.data.dynamic_conversations import LEVEL_DB, Conversations, TalkPlan


@dataclass(frozen=True)
class TalkDrawn:
    """Of B examples: their first samples and lengths in what is made for them (2, B).

    in_rooms: which of the B N talkers are in rooms. Levels in dB, `softer` (B, N) of talkers.
    """

    pieces: Pieces
    spans: np.ndarray
    in_rooms: np.ndarray
    rooms: np.ndarray
    softer: np.ndarray
    noise: Noises | None
    noise_snr_db: np.ndarray
    gain_db: np.ndarray
    harms: Harms
    coded: Coded


class TalkDrawing(Drawing):
    """What Conversations draws."""

    def __init__(self, examples: Conversations, sketch: Sketch) -> None:
        self.sources, self.samples, self.wide = examples.sources, examples.samples, examples.wide
        self._examples, self._sketch = examples, sketch

    def draw(self, indices: Sequence[int]) -> TalkDrawn:
        noise = self._examples.noise
        plans = [self._examples.plan(index, self._sketch.read) for index in indices]
        places = [place for plan in plans for place in plan.places or [-1] * self.sources]
        in_rooms = even([row for row, place in enumerate(places) if place >= 0])
        return TalkDrawn(
            Pieces.of([piece for row, plan in enumerate(plans) for piece in self._of(plan, row)]),
            np.array([(plan.first, plan.samples) for plan in plans], np.int64).T.copy(),
            in_rooms,
            np.array([places[row] for row in in_rooms], np.int64),
            floats([plan.snr_db for plan in plans]),
            Noises.of(noise, [plan.noise for plan in plans]) if noise else None,
            floats([plan.noise_snr_db for plan in plans]),
            floats([plan.gain_db for plan in plans]),
            Harms.of([plan.harm for plan in plans]),
            Coded.of(self._examples, indices, [plan.harm for plan in plans]),
        )

    def _of(self, plan: TalkPlan, row: int) -> Iterator[Piece]:
        """The turns of an example, as pieces."""
        usual = from_db(LEVEL_DB)
        for turn in plan.turns:
            said = turn.said
            assert isinstance(said, Span)
            place = (row * self.sources + turn.talker) * self.wide + turn.start
            yield Piece(
                *(place, said.count, said.origin, said.samples, said.first, said.speed),
                *(said.gain * usual, said.fade, said.length),
            )
