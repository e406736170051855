"""What channels and recorders do to a group of examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.data.damage import Harm
from cplxsep.data.drawing.numbers import even


@dataclass(frozen=True)
class Harms:
    """What is done to a group: numbers of the examples, and numbers for each of them.

    bands: (2, K) in Hz. offsets and clips: (B,), shares of the peak. hums: (2 + 2 H, K): base,
    level in dB, amplitudes and phases of the harmonics.
    """

    narrowed: np.ndarray
    bands: np.ndarray
    offsets: np.ndarray
    hummed: np.ndarray
    hums: np.ndarray
    clips: np.ndarray

    @classmethod
    def of(cls, harms: Sequence[Harm]) -> "Harms":
        """From one by one."""
        narrowed = even([row for row, harm in enumerate(harms) if harm.band])
        hummed = [row for row, harm in enumerate(harms) if harm.hum]
        hums = [
            (hum.base, hum.level_db, *hum.amplitudes, *hum.phases)
            for harm in harms
            if (hum := harm.hum)
        ]
        return cls(
            narrowed,
            np.array([harms[row].band for row in narrowed], np.float32).reshape(-1, 2).T.copy(),
            np.array([harm.offset for harm in harms], np.float32),
            np.array(hummed, np.int64),
            np.array(hums, np.float64).T.copy(),
            np.array([harm.clip or np.inf for harm in harms], np.float32),
        )
