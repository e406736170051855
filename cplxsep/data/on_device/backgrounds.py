"""Noise of any length from a device's memory: cut, or joined to itself; one or two at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cplxsep.data.noise_source import Background, NoiseSource, Stretch
from cplxsep.data.on_device.levels import gain_of, ratio, rms
from cplxsep.data.on_device.memory import noise_in, on


@dataclass(frozen=True)
class Drawn:
    """Stretches of noise, whole numbers (5, M): origin, samples there, turn, length, fade.

    First one for each of the examples `rows`, then the `second` ones, `softer` by so many dB: of
    which of those rows. `joined`: whether any is shorter than it has to be.
    """

    numbers: np.ndarray
    rows: np.ndarray
    second: np.ndarray
    softer: np.ndarray
    joined: bool


class Backgrounds:
    """The noise of a source in a device's memory."""

    def __init__(self, source: NoiseSource, device: torch.device) -> None:
        self._audio, self._starts = noise_in(source, device)
        self._lengths, self._fade = source.lengths, source.fade

    def draw(self, plans: Sequence[Background | None]) -> Drawn:
        """What is read for a group of examples; None: no noise in one."""
        rows = [row for row, plan in enumerate(plans) if plan]
        own = [plan for plan in plans if plan]
        second = [at for at, plan in enumerate(own) if len(plan.parts) > 1]
        parts = [self._part(plan.parts[0], plan.samples) for plan in own]
        parts += [self._part(own[at].parts[1], own[at].samples) for at in second]
        return Drawn(
            np.array(parts, np.int64).reshape(-1, 5).T.copy(),
            np.array(rows, np.int64),
            np.array(second, np.int64),
            np.array([own[at].snr_db for at in second], np.float32),
            any(part[1] < part[3] for part in parts),
        )

    def _part(self, part: Stretch, samples: int) -> tuple[int, int, int, int, int]:
        there = min(self._lengths[part.index] - part.start, samples)
        origin = int(self._starts[part.index]) + part.start
        return origin, there, part.turn, samples, min(self._fade, there // 2)

    def make(self, drawn: Drawn, count: int, samples: int) -> Tensor:
        """Noise (count, samples), silent where there is none and after a noise's length."""
        device = self._audio.device
        laid = torch.zeros(count, samples, device=device)
        if not len(drawn.rows):
            return laid
        numbers = on(device, drawn.numbers)
        noises = self._read(numbers, samples, drawn.joined) / 32768
        first, others = noises[: len(drawn.rows)], noises[len(drawn.rows) :]
        if len(others):
            levels = rms(noises, numbers[3])
            second = on(device, drawn.second)
            wanted = levels[second] * gain_of(-on(device, drawn.softer))
            gains = ratio(wanted, levels[len(drawn.rows) :])
            first[second] = first[second] + others * gains[:, None]
        laid[on(device, drawn.rows)] = first
        return laid

    def _read(self, numbers: Tensor, samples: int, joined: bool) -> Tensor:
        origin, there, turn, length, fade = (row[:, None] for row in numbers)
        now = torch.arange(samples, device=numbers.device)
        at = (now - turn) % length
        if not joined:
            return torch.where(now < length, self._audio[origin + at.minimum(there - 1)].float(), 0)
        # As noise.stretch: each turn but the first begins with the end of the one before.
        period = torch.where(there < length, there - fade, length)
        place = at % period
        value = self._audio[origin + place.minimum(there - 1)].float()
        before = self._audio[origin + (period + place).minimum(there - 1)].float()
        share = place / (fade - 1).clamp(min=1)
        inside = (place < fade) & (at >= fade) & (there < length)
        mixed = value * share.clamp(max=1).sqrt() + before * (1 - share).clamp(min=0).sqrt()
        return torch.where(now < length, torch.where(inside, mixed, value), 0)
