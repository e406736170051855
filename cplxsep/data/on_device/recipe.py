"""Examples that are made on a device, many at once, from audio in its memory."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from cplxsep.data.drawing.drawing import Drawable, Drawing

# Samples of all sources that are made at once: more take memory, fewer leave a GPU idle.
_AT_ONCE = 1 << 23
_MOST_BATCHES = 16
_WORK = 100  # bytes for each of those samples


class OnDevice(ABC):
    """Examples by number, the same as on the host but for rounding.

    Speed is changed by a shorter filter. `drawing` tells what is to be known of them.
    """

    drawing: Drawing

    def at_once(self, batch: int) -> int:
        """How many batches are made together."""
        own = batch * self.drawing.sources * self.drawing.wide
        return min(max(_AT_ONCE // own, 1), _MOST_BATCHES)

    @abstractmethod
    def make(self, drawn: Any) -> tuple[Tensor, Tensor]:
        """Mixtures (B, S) and sources (B, N, S), float32 on the device, of what was drawn."""


def size_of(examples: Drawable) -> int:
    """Bytes of a device's memory that the audio of examples needs."""
    noise = getattr(examples, "noise", None)
    rooms = getattr(examples, "rooms", [])
    samples = len(examples.cache.samples) + (sum(noise.lengths) if noise else 0)
    return 2 * samples + 4 * len(rooms) * max(map(len, rooms), default=0)


def room_for(examples: Drawable, batch: int) -> int:
    """Bytes, about, that making a group of batches takes for a while: indices and spectra."""
    wide = getattr(examples, "wide", examples.samples)
    return _WORK * max(_AT_ONCE, batch * examples.sources * wide)
