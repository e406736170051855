"""Conversations, made on a device."""

import torch
from torch import Tensor

from cplxsep.audio.level import frame_of
from cplxsep.data.drawing.talk import TalkDrawing, TalkDrawn
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.on_device.backgrounds import Backgrounds
from cplxsep.data.on_device.coded import put
from cplxsep.data.on_device.harm import spoil
from cplxsep.data.on_device.levels import active_level, gain_of, ratio, total
from cplxsep.data.on_device.memory import on, speech_in
from cplxsep.data.on_device.reading import read
from cplxsep.data.on_device.recipe import OnDevice
from cplxsep.data.on_device.rooms import Rooms


class TalkOnDevice(OnDevice):
    """What Conversations draws."""

    def __init__(self, examples: Conversations, device: torch.device) -> None:
        self._rate, self._reference = examples.sample_rate, examples.reference
        self._audio, sketch = speech_in(examples.cache, self._rate, device)
        self.drawing = TalkDrawing(examples, sketch)
        self._noise = Backgrounds(examples.noise, device) if examples.noise else None
        self._rooms = Rooms(examples.rooms, self._rate, device) if examples.rooms else None

    def make(self, drawn: TalkDrawn) -> tuple[Tensor, Tensor]:
        device, (count, talkers) = self._audio.device, drawn.softer.shape
        heard = read(self._audio, drawn.pieces, count * talkers, self.drawing.wide)
        first, lengths = on(device, drawn.spans)[..., None]
        references = self._in_rooms(heard, drawn, lengths) if len(drawn.in_rooms) else heard
        heard, references = (x.view(count, talkers, self.drawing.wide) for x in (heard, references))
        gains = self._gains(heard, on(device, drawn.softer), lengths)
        sound = total(heard * gains[..., None])
        # Before the cut: a talker's level is not that of a last syllable.
        noise = None
        if self._noise and drawn.noise:
            noise = self._noise.make(drawn.noise, count, self.drawing.wide)
            snr_db = on(device, drawn.noise_snr_db)
            noise *= self._noise_gains(sound, noise, snr_db, lengths)[:, None]
            sound += noise
        gain = gain_of(on(device, drawn.gain_db))
        at = first + torch.arange(self.drawing.samples, device=device)
        mixture = sound.gather(1, at) * gain[:, None]
        own = references.gather(2, at[:, None].expand(-1, talkers, -1))
        own *= (gains * gain[:, None])[..., None]
        return put(drawn.coded, *spoil(mixture, own, drawn.harms, self._rate))

    def _in_rooms(self, heard: Tensor, drawn: TalkDrawn, lengths: Tensor) -> Tensor:
        """Put talkers (B N, S) into their rooms, up to their examples' lengths; the references."""
        assert self._rooms is not None
        device, kind = heard.device, self._reference
        rows = on(device, drawn.in_rooms)
        now = torch.arange(self.drawing.wide, device=device)
        within = now < lengths[rows // self.drawing.sources]
        wet, near = (x * within for x in self._rooms(heard[rows], on(device, drawn.rooms), kind))
        references = heard if kind == "heard" else heard.clone()
        heard[rows] = wet
        if kind != "heard":
            references[rows] = near
        return references

    def _gains(self, heard: Tensor, softer: Tensor, lengths: Tensor) -> Tensor:
        """As scene.assemble: all who are heard (B, N, S) by the level of the first of them."""
        levels = active_level(heard, frame_of(self._rate), lengths[:, None])
        audible = levels > 0
        first = audible.int().argmax(1, keepdim=True)
        wanted = levels.gather(1, first) * gain_of(softer.gather(1, first) - softer)
        return torch.where(audible, ratio(wanted, levels), 1.0)

    def _noise_gains(self, talk: Tensor, noise: Tensor, snr_db: Tensor, lengths: Tensor) -> Tensor:
        """Of noise (B, S): it keeps its level where nobody talks (B, S)."""
        frame = frame_of(self._rate)
        speech, own = (active_level(sound, frame, lengths) for sound in (talk, noise))
        return torch.where(speech > 0, ratio(speech * gain_of(-snr_db), own), 1.0)
