"""Noisy speech, made on a device."""

import torch
from torch import Tensor

from cplxsep.audio.level import frame_of
from cplxsep.data.drawing.noisy import NoisyDrawing, NoisyDrawn
from cplxsep.data.dynamic_noisy import NoisySpeech
from cplxsep.data.on_device.backgrounds import Backgrounds
from cplxsep.data.on_device.coded import put
from cplxsep.data.on_device.harm import spoil
from cplxsep.data.on_device.levels import active_level, gain_of, ratio
from cplxsep.data.on_device.memory import on, speech_in
from cplxsep.data.on_device.reading import read
from cplxsep.data.on_device.recipe import OnDevice
from cplxsep.data.on_device.rooms import Rooms


class NoisyOnDevice(OnDevice):
    """What NoisySpeech draws."""

    def __init__(self, examples: NoisySpeech, device: torch.device) -> None:
        self._rate = examples.sample_rate
        self._audio, sketch = speech_in(examples.cache, self._rate, device)
        self.drawing = NoisyDrawing(examples, sketch)
        self._noise = Backgrounds(examples.noise, device)
        self._rooms = Rooms(examples.rooms, self._rate, device) if examples.rooms else None

    def make(self, drawn: NoisyDrawn) -> tuple[Tensor, Tensor]:
        device, count, frame = self._audio.device, len(drawn.audible), frame_of(self._rate)
        speech = read(self._audio, drawn.pieces, count, self.drawing.samples)
        reference = speech.clone()
        if self._rooms and len(drawn.in_rooms):
            rows = on(device, drawn.in_rooms)
            which = on(device, drawn.rooms)
            speech[rows], reference[rows] = self._rooms(speech[rows], which, "early")
        noise = self._noise.make(drawn.noise, count, self.drawing.samples)
        wanted = active_level(speech, frame) * gain_of(-on(device, drawn.snr_db))
        own = ratio(wanted, active_level(noise, frame))
        noise *= torch.where(on(device, drawn.mixed), own, 1.0)[:, None]
        audible, gain = (
            row[:, None] for row in (on(device, drawn.audible), gain_of(on(device, drawn.gain_db)))
        )
        mixture = (speech * audible + noise) * gain
        references = (reference * (audible * gain))[:, None]
        return put(drawn.coded, *spoil(mixture, references, drawn.harms, self._rate))
