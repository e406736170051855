"""Examples that lossy coders have gone over: no coder runs on a device, so the host makes them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cplxsep.data.damage import Harm
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.dynamic_noisy import NoisySpeech
from cplxsep.data.on_device.memory import on
from cplxsep.data.rounds import stack


@dataclass(frozen=True)
class Coded:
    """Mixtures (K, S) and references (K, N, S) to put in the place of the examples `rows`."""

    rows: np.ndarray
    mixtures: np.ndarray
    references: np.ndarray

    @classmethod
    def of(
        cls, examples: NoisySpeech | Conversations, indices: Sequence[int], harms: Sequence[Harm]
    ) -> "Coded":
        """Those of a group that are encoded, made here."""
        rows = [row for row, harm in enumerate(harms) if harm.coder]
        made = [examples.example(indices[row]) for row in rows]
        return cls(np.array(rows, np.int64), *(stack(made) if made else (np.zeros(0),) * 2))

    def put(self, mixtures: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
        """A group (B, S) and (B, N, S), in which they are then."""
        if len(self.rows):
            rows = on(mixtures.device, self.rows)
            mixtures[rows] = on(mixtures.device, self.mixtures)
            references[rows] = on(mixtures.device, self.references)
        return mixtures, references
