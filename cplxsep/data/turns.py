"""Talkers who take turns: who speaks when, and what, in a conversation of any length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from cplxsep.audio.level import ACTIVE_RANGE_DB, active_level, frame_of, from_db, rms
from cplxsep.config import ConversationConfig

_PAUSE_SECONDS = (0.1, 2.0)
_FADE_SECONDS = 0.01  # at both ends of a turn
_SHORTEST_SECONDS = 0.3  # of a turn
# A turn may end this much sooner or later than was drawn, where the talker is softest.
_SLACK = 0.25
_STEP_SECONDS = 0.01  # in which overlap is counted


class Sound(Protocol):
    """Speech as taking turns sees it: how long, and how loud when."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> "Sound":
        """From one sample to another."""

    def levels(self, frame: int) -> np.ndarray:
        """RMS of each whole frame of so many samples."""

    def over(self, level: float) -> "Sound":
        """Divided by a level."""

    def faded(self, samples: int) -> "Sound":
        """With a fade of so many samples at both ends."""


@dataclass(frozen=True)
class Waveform:
    """Speech that is there, float32 (S,)."""

    audio: np.ndarray

    def __len__(self) -> int:
        return len(self.audio)

    def __getitem__(self, part: slice) -> "Waveform":
        return Waveform(self.audio[part])

    def levels(self, frame: int) -> np.ndarray:
        """RMS of each whole frame of so many samples."""
        return rms(self.audio[: len(self.audio) // frame * frame].reshape(-1, frame))

    def over(self, level: float) -> "Waveform":
        """Divided by a level."""
        return Waveform(self.audio / np.float32(level))

    def faded(self, samples: int) -> "Waveform":
        """With a fade of so many samples at both ends."""
        ramp = np.linspace(0.0, 1.0, samples, endpoint=False, dtype=np.float32)
        faded = self.audio.copy()
        faded[:samples] *= ramp
        faded[len(faded) - samples :] *= ramp[::-1]
        return Waveform(faded)


@dataclass(frozen=True)
class Turn:
    """A talker's number, and what is said from one sample on."""

    talker: int
    start: int
    said: Sound

    @property
    def end(self) -> int:
        """The sample after the last."""
        return self.start + len(self.said)


class Voice:
    """One talker, whose recordings are read on from turn to turn, all at one level.

    Args:
        order: of the recordings; they come again from the first when all are used. `read` gives
            one (S,), float32.
        skip: share of the first recording that is passed over.
    """

    def __init__(
        self,
        order: Sequence[int],
        read: Callable[[int], Sound],
        sample_rate: int,
        skip: float = 0.0,
    ) -> None:
        self._order = order
        self._read = read
        self._rate = sample_rate
        self._next = 0
        self._rest: Sound
        self._open()
        self._rest = self._rest[int(skip * len(self._rest)) :]

    def take(self, samples: int) -> Sound:
        """About `samples`, up to the softest place near their end, or to the recording's."""
        if len(self._rest) < _SHORTEST_SECONDS * self._rate:
            self._open()
        cut = _softest(self._rest, samples, self._rate)
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        return piece.faded(min(round(_FADE_SECONDS * self._rate), len(piece) // 2))

    def _open(self) -> None:
        sound = self._read(self._order[self._next % len(self._order)])
        self._next += 1
        levels = sound.levels(frame_of(self._rate))
        level = active_level(levels) or float(sound.levels(len(sound))[0])
        self._rest = _trimmed(sound, levels, frame_of(self._rate)).over(level or 1.0)


def converse(
    voices: Sequence[Voice],
    samples: int,
    sample_rate: int,
    config: ConversationConfig,
    rng: np.random.Generator,
) -> list[Turn]:
    """What is said in a conversation of so many samples.

    Each turn begins so that the time in which several talk comes as close as it can to its share
    of the time in which anyone does, drawn from `config.overlap`; or after a pause.
    """
    ratio = rng.uniform(*config.overlap)
    step = max(round(_STEP_SECONDS * sample_rate), 1)
    count = np.zeros(samples // step + 1, np.int8)  # how many talk
    turns: list[Turn] = []
    free = np.zeros(len(voices), int)  # where each has ended
    talker, paused = int(rng.integers(len(voices))), False
    while True:
        piece = voices[talker].take(round(rng.uniform(*config.turns) * sample_rate))
        end = int(free.max())
        if paused:
            start = end + round(rng.uniform(*_PAUSE_SECONDS) * sample_rate)
        else:
            both = step * int(np.count_nonzero(count > 1))
            some = step * int(np.count_nonzero(count))
            # From (both + x) / (some + length - x) = ratio.
            wanted = round((ratio * (some + len(piece)) - both) / (1 + ratio))
            start = max(end - max(wanted, 0), int(free[talker]))
        if start >= samples:
            return turns
        kept = piece[: samples - start]
        turns.append(Turn(talker, start, kept))
        count[start // step : (start + len(kept)) // step] += 1
        free[talker] = start + len(piece)
        paused = rng.random() < config.pauses
        # Only another can talk over who ends last; after a pause anyone may go on.
        last = int(free.argmax())
        anyone = list(range(len(voices)))
        others = [other for other in anyone if other != last]
        able = anyone if paused or not others else others
        talker = able[int(rng.integers(len(able)))]


def one_alone(turns: Sequence[Turn], first: int, last: int, rng: np.random.Generator) -> list[Turn]:
    """The turns of one who talks between two samples; all where nobody does."""
    there = sorted({turn.talker for turn in turns if turn.start < last and turn.end > first})
    if not there:
        return list(turns)
    lone = int(rng.choice(there))
    return [turn for turn in turns if turn.talker == lone]


def talk_throughout(voices: Sequence[Voice], samples: int) -> list[Turn]:
    """Each of the talkers from the beginning to the end."""
    turns = []
    for talker, voice in enumerate(voices):
        filled = 0
        while filled < samples:
            piece = voice.take(samples - filled)[: samples - filled]
            turns.append(Turn(talker, filled, piece))
            filled += len(piece)
    return turns


def spoken(turns: Sequence[Turn], talkers: int, samples: int) -> np.ndarray:
    """What each of N talkers says: (N, samples) float32, of turns whose speech is there."""
    talk = np.zeros((talkers, samples), np.float32)
    for turn in turns:
        assert isinstance(turn.said, Waveform)
        talk[turn.talker, turn.start : turn.end] = turn.said.audio
    return talk


def _softest(sound: Sound, samples: int, sample_rate: int) -> int:
    """Where to cut at about `samples`; the whole length where little would be left."""
    frame = frame_of(sample_rate)
    first, last = int(samples * (1 - _SLACK)), int(samples * (1 + _SLACK))
    if last + _SHORTEST_SECONDS * sample_rate >= len(sound):
        return len(sound)
    count = max((last - first) // frame, 1)
    levels = sound[first : first + count * frame].levels(frame)
    return first + int(np.argmin(levels)) * frame + frame // 2


def _trimmed(sound: Sound, levels: np.ndarray, frame: int) -> Sound:
    """Without the silence before and after it: frames 40 dB under the loudest of their levels."""
    if not levels.size:
        return sound
    heard = np.flatnonzero(levels >= levels.max() * from_db(-ACTIVE_RANGE_DB))
    return sound[int(heard[0]) * frame : (int(heard[-1]) + 1) * frame]
