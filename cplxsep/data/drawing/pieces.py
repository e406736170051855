"""Where in all speech the pieces lie that examples are made of, and where they go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cplxsep.data.crop import Crop
from cplxsep.data.drawing.sketch import Sketch


class Piece(NamedTuple):
    """`played` samples, for sample `place` of all rows on, times `gain`.

    They are read from sample `first` on of what the `samples` from `origin` on become when they
    are played `speed` times as fast. `fade`: samples that it takes at both ends of `length`, of
    which these are the first; 0 for none.
    """

    place: int
    played: int
    origin: int
    samples: int
    first: int
    speed: float
    gain: float
    fade: int = 0
    length: int = 0


@dataclass(frozen=True)
class Pieces:
    """All pieces of a group of examples: whole numbers (7, M), speeds (M,) and gains (M,)."""

    numbers: np.ndarray
    speeds: np.ndarray
    gains: np.ndarray

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "Pieces":
        """From one by one."""
        rows = [(p[0], p[1], p[2], p[3], p[4], p[7], p[8]) for p in pieces]
        return cls(
            np.array(rows, np.int64).reshape(-1, 7).T.copy(),
            np.array([piece.speed for piece in pieces], np.float64),
            np.array([piece.gain for piece in pieces], np.float32),
        )


def piece_of(crop: Crop, sketch: Sketch, place: int) -> Piece:
    """A crop that lies at a sample of all rows."""
    origin = int(sketch.starts[crop.index]) + crop.start
    return Piece(place, crop.played, origin, crop.samples, 0, crop.speed, 1 / 32768)
