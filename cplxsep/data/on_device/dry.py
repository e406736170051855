"""Mixtures of talkers alone, made on a device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.on_device.levels import gain_of, ratio, rms, total
from cplxsep.data.on_device.memory import on, speech_in
from cplxsep.data.on_device.reading import Pieces, read
from cplxsep.data.on_device.recipe import OnDevice, floats, piece_of


@dataclass(frozen=True)
class _Drawn:
    """Of B mixtures: lengths, levels in dB and order (B, N) of the talkers, and who pauses.

    pauses: (3, B), a talker, and the samples from which to which he is silent.
    """

    pieces: Pieces
    lengths: np.ndarray
    levels: np.ndarray
    order: np.ndarray
    pauses: np.ndarray


class DryOnDevice(OnDevice):
    """What DynamicMixtures draws."""

    def __init__(self, examples: DynamicMixtures, device: torch.device) -> None:
        self.sources, self.samples, self.wide = examples.sources, examples.samples, examples.samples
        self._examples = examples
        self._audio, self._sketch = speech_in(examples.cache, examples.sample_rate, device)

    def draw(self, indices: Sequence[int]) -> _Drawn:
        plans = [self._examples.plan(index, self._sketch) for index in indices]
        rows = (
            (row * self.samples + start, crop)
            for row, (crop, start) in enumerate(
                pair for plan in plans for pair in zip(plan.crops, plan.starts, strict=True)
            )
        )
        return _Drawn(
            Pieces.of([piece_of(crop, self._sketch, place) for place, crop in rows]),
            floats([[crop.played for crop in plan.crops] for plan in plans]),
            floats([[plan.gain_db - snr for snr in plan.snr_db] for plan in plans]),
            np.array([plan.order for plan in plans], np.int64),
            np.array([plan.pause or (0, 0, 0) for plan in plans], np.int64).T.copy(),
        )

    def make(self, drawn: _Drawn) -> tuple[Tensor, Tensor]:
        device, (count, talkers) = self._audio.device, drawn.order.shape
        sources = read(self._audio, drawn.pieces, count * talkers, self.samples)
        sources = sources.view(count, talkers, self.samples)
        levels = rms(sources, on(device, drawn.lengths))
        wanted = levels[:, :1] * gain_of(on(device, drawn.levels))
        sources *= ratio(wanted, levels)[..., None]
        if drawn.pauses.any():
            who, first, last = on(device, drawn.pauses)[..., None]
            now = torch.arange(self.samples, device=device)
            silent = (now >= first) & (now < last)
            talker = torch.arange(talkers, device=device)
            sources *= ~(silent[:, None] & (talker == who)[..., None])
        order = on(device, drawn.order)
        sources = sources[torch.arange(count, device=device)[:, None], order]
        return total(sources), sources
