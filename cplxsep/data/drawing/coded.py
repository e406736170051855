"""Examples that lossy coders have gone over: no coder runs on a device, so they are made here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.data.damage import Harm
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.dynamic_noisy import NoisySpeech
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
        """Those of a group that are encoded."""
        rows = [row for row, harm in enumerate(harms) if harm.coder]
        made = [examples.example(indices[row]) for row in rows]
        return cls(np.array(rows, np.int64), *(stack(made) if made else (np.zeros(0),) * 2))
