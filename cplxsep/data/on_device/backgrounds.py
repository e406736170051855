"""Noise of any length from a device's memory: cut, or joined to itself; one or two at a time."""

import torch
from torch import Tensor

from cplxsep.data.drawing.noises import Noises
from cplxsep.data.noise_source import NoiseSource
from cplxsep.data.on_device.levels import gain_of, ratio, rms
from cplxsep.data.on_device.memory import noise_in, on


class Backgrounds:
    """The noise of a source in a device's memory."""

    def __init__(self, source: NoiseSource, device: torch.device) -> None:
        self._audio = noise_in(source, device)

    def make(self, drawn: Noises, count: int, samples: int) -> Tensor:
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
