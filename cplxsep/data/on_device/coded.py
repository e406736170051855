"""Examples that the host has made, put in among those made on a device."""

from torch import Tensor

from cplxsep.data.drawing.coded import Coded
from cplxsep.data.on_device.memory import on


def put(coded: Coded, mixtures: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """A group (B, S) and (B, N, S), in which they are then."""
    if len(coded.rows):
        rows = on(mixtures.device, coded.rows)
        mixtures[rows] = on(mixtures.device, coded.mixtures)
        references[rows] = on(mixtures.device, coded.references)
    return mixtures, references
