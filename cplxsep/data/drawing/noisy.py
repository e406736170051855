"""Noisy speech, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.data.drawing.coded import Coded
from cplxsep.data.drawing.drawing import Drawing
from cplxsep.data.drawing.harms import Harms
from cplxsep.data.drawing.noises import Noises
from cplxsep.data.drawing.numbers import even, floats
from cplxsep.data.drawing.pieces import Pieces, piece_of
from cplxsep.data.drawing.sketch import Sketch
from cplxsep.data.dynamic_noisy import NoisySpeech


@dataclass(frozen=True)
class NoisyDrawn:
    """Of B examples: which are in rooms, and in which; noise.

    mixed: whether there are speech and noise, audible: whether there is speech. Levels in dB.
    """

    pieces: Pieces
    in_rooms: np.ndarray
    rooms: np.ndarray
    noise: Noises
    audible: np.ndarray
    mixed: np.ndarray
    snr_db: np.ndarray
    gain_db: np.ndarray
    harms: Harms
    coded: Coded


class NoisyDrawing(Drawing):
    """What NoisySpeech draws."""

    def __init__(self, examples: NoisySpeech, sketch: Sketch) -> None:
        self.sources, self.samples, self.wide = 1, examples.samples, examples.samples
        self._examples, self._sketch = examples, sketch

    def draw(self, indices: Sequence[int]) -> NoisyDrawn:
        plans = [self._examples.plan(index, self._sketch) for index in indices]
        in_rooms = even([row for row, plan in enumerate(plans) if plan.room is not None])
        return NoisyDrawn(
            Pieces.of(
                [
                    piece_of(plan.crop, self._sketch, row * self.samples + plan.start)
                    for row, plan in enumerate(plans)
                ]
            ),
            in_rooms,
            np.array([plans[row].room for row in in_rooms], np.int64),
            Noises.of(self._examples.noise, [plan.noise for plan in plans]),
            floats([plan.audible for plan in plans]),
            np.array([bool(plan.audible and plan.noise) for plan in plans]),
            floats([plan.snr_db for plan in plans]),
            floats([plan.gain_db for plan in plans]),
            Harms.of([plan.harm for plan in plans]),
            Coded.of(self._examples, indices, [plan.harm for plan in plans]),
        )
