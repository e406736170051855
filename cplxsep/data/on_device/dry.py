"""Mixtures of talkers alone, made on a device."""

import torch
from torch import Tensor

from cplxsep.data.drawing.dry import DryDrawing, DryDrawn
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.on_device.levels import gain_of, ratio, rms, total
from cplxsep.data.on_device.memory import on, speech_in
from cplxsep.data.on_device.reading import read
from cplxsep.data.on_device.recipe import OnDevice


class DryOnDevice(OnDevice):
    """What DynamicMixtures draws."""

    def __init__(self, examples: DynamicMixtures, device: torch.device) -> None:
        self._audio, sketch = speech_in(examples.cache, examples.sample_rate, device)
        self.drawing = DryDrawing(examples, sketch)

    def make(self, drawn: DryDrawn) -> tuple[Tensor, Tensor]:
        device, (count, talkers) = self._audio.device, drawn.order.shape
        sources = read(self._audio, drawn.pieces, count * talkers, self.drawing.samples)
        sources = sources.view(count, talkers, self.drawing.samples)
        levels = rms(sources, on(device, drawn.lengths))
        wanted = levels[:, :1] * gain_of(on(device, drawn.levels))
        sources *= ratio(wanted, levels)[..., None]
        if drawn.pauses.any():
            who, first, last = on(device, drawn.pauses)[..., None]
            now = torch.arange(self.drawing.samples, device=device)
            silent = (now >= first) & (now < last)
            talker = torch.arange(talkers, device=device)
            sources *= ~(silent[:, None] & (talker == who)[..., None])
        order = on(device, drawn.order)
        sources = sources[torch.arange(count, device=device)[:, None], order]
        return total(sources), sources
