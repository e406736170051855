"""Mixtures of talkers alone, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.data.drawing.drawing import Drawing
from cplxsep.data.drawing.numbers import floats
from cplxsep.data.drawing.pieces import Pieces, piece_of
from cplxsep.data.drawing.sketch import Sketch
from cplxsep.data.dynamic import DynamicMixtures


@dataclass(frozen=True)
class DryDrawn:
    """Of B mixtures: lengths, levels in dB and order (B, N) of the talkers, and who pauses.

    pauses: (3, B), a talker, and the samples from which to which he is silent.
    """

    pieces: Pieces
    lengths: np.ndarray
    levels: np.ndarray
    order: np.ndarray
    pauses: np.ndarray


class DryDrawing(Drawing):
    """What DynamicMixtures draws."""

    def __init__(self, examples: DynamicMixtures, sketch: Sketch) -> None:
        self.sources, self.samples, self.wide = examples.sources, examples.samples, examples.samples
        self._examples, self._sketch = examples, sketch

    def draw(self, indices: Sequence[int]) -> DryDrawn:
        plans = [self._examples.plan(index, self._sketch) for index in indices]
        rows = (
            (row * self.samples + start, crop)
            for row, (crop, start) in enumerate(
                pair for plan in plans for pair in zip(plan.crops, plan.starts, strict=True)
            )
        )
        return DryDrawn(
            Pieces.of([piece_of(crop, self._sketch, place) for place, crop in rows]),
            floats([[crop.played for crop in plan.crops] for plan in plans]),
            floats([[plan.gain_db - snr for snr in plan.snr_db] for plan in plans]),
            np.array([plan.order for plan in plans], np.int64),
            np.array([plan.pause or (0, 0, 0) for plan in plans], np.int64).T.copy(),
        )
