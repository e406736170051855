"""Noisy speech, made on a device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cplxsep.audio.level import frame_of
from cplxsep.data.dynamic_noisy import NoisySpeech
from cplxsep.data.on_device.backgrounds import Backgrounds, Drawn
from cplxsep.data.on_device.coded import Coded
from cplxsep.data.on_device.harm import Harms, spoil
from cplxsep.data.on_device.levels import active_level, gain_of, ratio
from cplxsep.data.on_device.memory import on, speech_in
from cplxsep.data.on_device.reading import Pieces, read
from cplxsep.data.on_device.recipe import OnDevice, floats, piece_of
from cplxsep.data.on_device.rooms import Rooms, even


@dataclass(frozen=True)
class _Drawn:
    """Of B examples: which are in rooms, and in which; noise.

    mixed: whether there are speech and noise, audible: whether there is speech. Levels in dB.
    """

    pieces: Pieces
    in_rooms: np.ndarray
    rooms: np.ndarray
    noise: Drawn
    audible: np.ndarray
    mixed: np.ndarray
    snr_db: np.ndarray
    gain_db: np.ndarray
    harms: Harms
    coded: Coded


class NoisyOnDevice(OnDevice):
    """What NoisySpeech draws."""

    def __init__(self, examples: NoisySpeech, device: torch.device) -> None:
        self.sources, self.samples, self.wide = 1, examples.samples, examples.samples
        self._examples, self._rate = examples, examples.sample_rate
        self._audio, self._sketch = speech_in(examples.cache, self._rate, device)
        self._noise = Backgrounds(examples.noise, device)
        self._rooms = Rooms(examples.rooms, self._rate, device) if examples.rooms else None

    def draw(self, indices: Sequence[int]) -> _Drawn:
        plans = [self._examples.plan(index, self._sketch) for index in indices]
        in_rooms = even([row for row, plan in enumerate(plans) if plan.room is not None])
        return _Drawn(
            Pieces.of(
                [
                    piece_of(plan.crop, self._sketch, row * self.samples + plan.start)
                    for row, plan in enumerate(plans)
                ]
            ),
            in_rooms,
            np.array([plans[row].room for row in in_rooms], np.int64),
            self._noise.draw([plan.noise for plan in plans]),
            floats([plan.audible for plan in plans]),
            np.array([bool(plan.audible and plan.noise) for plan in plans]),
            floats([plan.snr_db for plan in plans]),
            floats([plan.gain_db for plan in plans]),
            Harms.of([plan.harm for plan in plans]),
            Coded.of(self._examples, indices, [plan.harm for plan in plans]),
        )

    def make(self, drawn: _Drawn) -> tuple[Tensor, Tensor]:
        device, count, frame = self._audio.device, len(drawn.audible), frame_of(self._rate)
        speech = read(self._audio, drawn.pieces, count, self.samples)
        reference = speech.clone()
        if self._rooms and len(drawn.in_rooms):
            rows = on(device, drawn.in_rooms)
            which = on(device, drawn.rooms)
            speech[rows], reference[rows] = self._rooms(speech[rows], which, "early")
        noise = self._noise.make(drawn.noise, count, self.samples)
        wanted = active_level(speech, frame) * gain_of(-on(device, drawn.snr_db))
        own = ratio(wanted, active_level(noise, frame))
        noise *= torch.where(on(device, drawn.mixed), own, 1.0)[:, None]
        audible, gain = (
            row[:, None] for row in (on(device, drawn.audible), gain_of(on(device, drawn.gain_db)))
        )
        mixture = (speech * audible + noise) * gain
        references = (reference * (audible * gain))[:, None]
        return drawn.coded.put(*spoil(mixture, references, drawn.harms, self._rate))
