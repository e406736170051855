"""Training examples as numbers: all that is to be known of them before audio is touched."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.dynamic_noisy import NoisySpeech

Drawable = DynamicMixtures | NoisySpeech | Conversations
"""Examples that can be drawn as numbers, to be made elsewhere."""


class Drawing(ABC):
    """Draws examples by number, from the numbers that they have where they are made here.

    Only the levels of frames are looked at, so that turns of conversations may be cut elsewhere,
    and once in a hundred a crop; all else is the same. It goes to other processes with all it has.

    Attributes:
        sources: in each example, of `samples`. `wide`: samples that are made for each of them.
    """

    sources: int
    samples: int
    wide: int

    @abstractmethod
    def draw(self, indices: Sequence[int]) -> Any:
        """All that is to be known of examples, as arrays."""
