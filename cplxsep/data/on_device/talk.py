"""Conversations, made on a device."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cplxsep.audio.level import frame_of, from_db
from cplxsep.data.dynamic_conversations import LEVEL_DB, Conversations, TalkPlan
from cplxsep.data.on_device.backgrounds import Backgrounds, Drawn
from cplxsep.data.on_device.coded import Coded
from cplxsep.data.on_device.harm import Harms, spoil
from cplxsep.data.on_device.levels import active_level, gain_of, ratio, total
from cplxsep.data.on_device.memory import on, speech_in
from cplxsep.data.on_device.reading import Piece, Pieces, read
from cplxsep.data.on_device.recipe import OnDevice, floats
from cplxsep.data.on_device.rooms import Rooms, even
from cplxsep.data.on_device.sketch import Span


@dataclass(frozen=True)
class _Drawn:
    """Of B examples: their first samples and lengths in what is made for them (2, B).

    in_rooms: which of the B N talkers are in rooms. Levels in dB, `softer` (B, N) of talkers.
    """

    pieces: Pieces
    spans: np.ndarray
    in_rooms: np.ndarray
    rooms: np.ndarray
    softer: np.ndarray
    noise: Drawn | None
    noise_snr_db: np.ndarray
    gain_db: np.ndarray
    harms: Harms
    coded: Coded


class TalkOnDevice(OnDevice):
    """What Conversations draws."""

    def __init__(self, examples: Conversations, device: torch.device) -> None:
        self.sources, self.samples, self.wide = examples.sources, examples.samples, examples.wide
        self._examples, self._rate = examples, examples.sample_rate
        self._audio, self._sketch = speech_in(examples.cache, self._rate, device)
        self._noise = Backgrounds(examples.noise, device) if examples.noise else None
        self._rooms = Rooms(examples.rooms, self._rate, device) if examples.rooms else None

    def draw(self, indices: Sequence[int]) -> _Drawn:
        plans = [self._examples.plan(index, self._sketch.read) for index in indices]
        places = [place for plan in plans for place in plan.places or [-1] * self.sources]
        in_rooms = even([row for row, place in enumerate(places) if place >= 0])
        return _Drawn(
            Pieces.of([piece for row, plan in enumerate(plans) for piece in self._of(plan, row)]),
            np.array([(plan.first, plan.samples) for plan in plans], np.int64).T.copy(),
            in_rooms,
            np.array([places[row] for row in in_rooms], np.int64),
            floats([plan.snr_db for plan in plans]),
            self._noise.draw([plan.noise for plan in plans]) if self._noise else None,
            floats([plan.noise_snr_db for plan in plans]),
            floats([plan.gain_db for plan in plans]),
            Harms.of([plan.harm for plan in plans]),
            Coded.of(self._examples, indices, [plan.harm for plan in plans]),
        )

    def _of(self, plan: TalkPlan, row: int) -> Iterator[Piece]:
        """The turns of an example, as pieces."""
        usual = from_db(LEVEL_DB)
        for turn in plan.turns:
            said = turn.said
            assert isinstance(said, Span)
            place = (row * self.sources + turn.talker) * self.wide + turn.start
            yield Piece(
                *(place, said.count, said.origin, said.samples, said.first, said.speed),
                *(said.gain * usual, said.fade, said.length),
            )

    def make(self, drawn: _Drawn) -> tuple[Tensor, Tensor]:
        device, (count, talkers) = self._audio.device, drawn.softer.shape
        heard = read(self._audio, drawn.pieces, count * talkers, self.wide)
        first, lengths = on(device, drawn.spans)[..., None]
        references = self._in_rooms(heard, drawn, lengths) if len(drawn.in_rooms) else heard
        heard, references = (x.view(count, talkers, self.wide) for x in (heard, references))
        gains = self._gains(heard, on(device, drawn.softer), lengths)
        sound = total(heard * gains[..., None])
        # Before the cut: a talker's level is not that of a last syllable.
        noise = None
        if self._noise and drawn.noise:
            noise = self._noise.make(drawn.noise, count, self.wide)
            snr_db = on(device, drawn.noise_snr_db)
            noise *= self._noise_gains(sound, noise, snr_db, lengths)[:, None]
            sound += noise
        gain = gain_of(on(device, drawn.gain_db))
        at = first + torch.arange(self.samples, device=device)
        mixture = sound.gather(1, at) * gain[:, None]
        own = references.gather(2, at[:, None].expand(-1, talkers, -1))
        own *= (gains * gain[:, None])[..., None]
        return drawn.coded.put(*spoil(mixture, own, drawn.harms, self._rate))

    def _in_rooms(self, heard: Tensor, drawn: _Drawn, lengths: Tensor) -> Tensor:
        """Put talkers (B N, S) into their rooms, up to their examples' lengths; the references."""
        assert self._rooms is not None
        device, kind = heard.device, self._examples.reference
        rows = on(device, drawn.in_rooms)
        now = torch.arange(self.wide, device=device)
        within = now < lengths[rows // self.sources]
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
