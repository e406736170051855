"""Where in all noise the stretches lie that examples are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.data.noise_source import Background, NoiseSource, Stretch


@dataclass(frozen=True)
class Noises:
    """Stretches of noise, whole numbers (5, M): origin, samples there, turn, length, fade.

    First one for each of the examples `rows`, then the `second` ones, `softer` by so many dB: of
    which of those rows. `joined`: whether any is shorter than it has to be.
    """

    numbers: np.ndarray
    rows: np.ndarray
    second: np.ndarray
    softer: np.ndarray
    joined: bool

    @classmethod
    def of(cls, source: NoiseSource, plans: Sequence[Background | None]) -> "Noises":
        """Of a group of examples; None: no noise in one."""
        starts = np.cumsum(source.lengths) - source.lengths

        def part(own: Stretch, samples: int) -> tuple[int, int, int, int, int]:
            there = min(source.lengths[own.index] - own.start, samples)
            origin = int(starts[own.index]) + own.start
            return origin, there, own.turn, samples, min(source.fade, there // 2)

        rows = [row for row, plan in enumerate(plans) if plan]
        own = [plan for plan in plans if plan]
        second = [at for at, plan in enumerate(own) if len(plan.parts) > 1]
        parts = [part(plan.parts[0], plan.samples) for plan in own]
        parts += [part(own[at].parts[1], own[at].samples) for at in second]
        return cls(
            np.array(parts, np.int64).reshape(-1, 5).T.copy(),
            np.array(rows, np.int64),
            np.array(second, np.int64),
            np.array([own[at].snr_db for at in second], np.float32),
            any(part[1] < part[3] for part in parts),
        )
