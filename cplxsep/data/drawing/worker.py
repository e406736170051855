"""A process that draws examples for another one."""

from collections.abc import Sequence
from typing import Any

from cplxsep.data.drawing.drawing import Drawing

_held: list[Drawing] = []


def hold(drawings: Sequence[Drawing]) -> None:
    """Keep what draws: it is sent once, and then called by number."""
    _held[:] = drawings


def draw(asked: tuple[int, Sequence[int]]) -> Any:
    """What a drawing, by number, draws of examples."""
    number, indices = asked
    return _held[number].draw(indices)
