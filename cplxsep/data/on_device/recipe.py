"""Examples that are made on a device, many at once, from audio in its memory."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from cplxsep.data.crop import Crop
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.dynamic_noisy import NoisySpeech
from cplxsep.data.on_device.reading import Piece
from cplxsep.data.on_device.sketch import Sketch

# Samples of all sources that are made at once: more take memory, fewer leave a GPU idle.
_AT_ONCE = 1 << 23
_MOST_BATCHES = 16
_WORK = 100  # bytes for each of those samples
Drawable = DynamicMixtures | NoisySpeech | Conversations
"""What draws examples; those that are made on a device are drawn by the same numbers."""


class OnDevice(ABC):
    """Examples by number, drawn by the same numbers as on the host.

    The host draws from the levels of frames alone, so that turns of conversations may be cut
    elsewhere, and once in a hundred a crop; all else is the same but for rounding. Speed is changed
    by a shorter filter. `wide`: samples that are made for each of an example.
    """

    sources: int
    samples: int
    wide: int

    def at_once(self, batch: int) -> int:
        """How many batches are made together."""
        own = batch * self.sources * self.wide
        return min(max(_AT_ONCE // own, 1), _MOST_BATCHES)

    @abstractmethod
    def draw(self, indices: Sequence[int]) -> Any:
        """All that is to be known of examples, as arrays of the host; uses no device."""

    @abstractmethod
    def make(self, drawn: Any) -> tuple[Tensor, Tensor]:
        """Mixtures (B, S) and sources (B, N, S), float32 on the device, of what was drawn."""


def piece_of(crop: Crop, sketch: Sketch, place: int) -> Piece:
    """A crop that lies at a sample of all rows."""
    origin = int(sketch.starts[crop.index]) + crop.start
    return Piece(place, crop.played, origin, crop.samples, 0, crop.speed, 1 / 32768)


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


def floats(values: Sequence[float] | Sequence[Sequence[float]]) -> np.ndarray:
    """Numbers as a device takes them."""
    return np.array(values, np.float32)
