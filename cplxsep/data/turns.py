"""Talkers who take turns: who speaks when, and what, in a conversation of any length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.audio.level import ACTIVE_RANGE_DB, FRAME_SECONDS, active_rms, from_db, rms
from cplxsep.config import ConversationConfig

_PAUSE_SECONDS = (0.1, 2.0)
_FADE_SECONDS = 0.01  # at both ends of a turn
_SHORTEST_SECONDS = 0.3  # of a turn
# A turn may end this much sooner or later than was drawn, where the talker is softest.
_SLACK = 0.25
_STEP_SECONDS = 0.01  # in which overlap is counted


@dataclass(frozen=True)
class Turn:
    """A talker's number, and the samples from `start` to `end` of what is said."""

    talker: int
    start: int
    end: int


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
        read: Callable[[int], np.ndarray],
        sample_rate: int,
        skip: float = 0.0,
    ) -> None:
        self._order = order
        self._read = read
        self._rate = sample_rate
        self._next = 0
        self._rest: np.ndarray = np.zeros(0, np.float32)
        self._open()
        self._rest = self._rest[int(skip * len(self._rest)) :]

    def take(self, samples: int) -> np.ndarray:
        """About `samples` (S,), up to the softest place near their end, or to the recording's."""
        if len(self._rest) < _SHORTEST_SECONDS * self._rate:
            self._open()
        cut = _softest(self._rest, samples, self._rate)
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        return _faded(piece, round(_FADE_SECONDS * self._rate))

    def _open(self) -> None:
        audio = self._read(self._order[self._next % len(self._order)])
        self._next += 1
        level = active_rms(audio, self._rate)
        self._rest = _trimmed(audio, self._rate) / np.float32(level or 1.0)


def converse(
    voices: Sequence[Voice],
    samples: int,
    sample_rate: int,
    config: ConversationConfig,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[Turn]]:
    """What each of N talkers says in a conversation, (N, samples) float32, and their turns.

    Each turn begins so that the time in which several talk comes as close as it can to its share
    of the time in which anyone does, drawn from `config.overlap`; or after a pause.
    """
    ratio = rng.uniform(*config.overlap)
    step = max(round(_STEP_SECONDS * sample_rate), 1)
    talk = np.zeros((len(voices), samples), np.float32)
    speaks = np.zeros((len(voices), samples // step + 1), bool)
    turns: list[Turn] = []
    free = np.zeros(len(voices), int)  # where each has ended
    talker, paused = int(rng.integers(len(voices))), False
    while True:
        piece = voices[talker].take(round(rng.uniform(*config.turns) * sample_rate))
        end = int(free.max())
        if paused:
            start = end + round(rng.uniform(*_PAUSE_SECONDS) * sample_rate)
        else:
            count = speaks.sum(axis=0)
            both, some = step * int((count > 1).sum()), step * int((count > 0).sum())
            # From (both + x) / (some + length - x) = ratio.
            wanted = round((ratio * (some + len(piece)) - both) / (1 + ratio))
            start = max(end - max(wanted, 0), int(free[talker]))
        if start >= samples:
            return talk, turns
        kept = piece[: samples - start]
        talk[talker, start : start + len(kept)] = kept
        turns.append(Turn(talker, start, start + len(kept)))
        speaks[talker, start // step : (start + len(kept)) // step] = True
        free[talker] = start + len(piece)
        paused = rng.random() < config.pauses
        # Only another can talk over who ends last; after a pause anyone may go on.
        last = int(free.argmax())
        others = [other for other in range(len(voices)) if other != last]
        talker = int(rng.integers(len(voices))) if paused or not others else int(rng.choice(others))


def one_alone(
    talk: np.ndarray, turns: Sequence[Turn], first: int, last: int, rng: np.random.Generator
) -> list[Turn]:
    """Silence all in (N, S) but one who talks between two samples; the turns that are left."""
    there = sorted({turn.talker for turn in turns if turn.start < last and turn.end > first})
    if not there:
        return list(turns)
    lone = int(rng.choice(there))
    talk[np.arange(len(talk)) != lone] = 0.0
    return [turn for turn in turns if turn.talker == lone]


def talk_throughout(voices: Sequence[Voice], samples: int) -> np.ndarray:
    """Each of N talkers from the beginning to the end: (N, samples), float32."""
    talk = np.zeros((len(voices), samples), np.float32)
    for row, voice in zip(talk, voices, strict=True):
        filled = 0
        while filled < samples:
            piece = voice.take(samples - filled)[: samples - filled]
            row[filled : filled + len(piece)] = piece
            filled += len(piece)
    return talk


def _softest(audio: np.ndarray, samples: int, sample_rate: int) -> int:
    """Where to cut (S,) at about `samples`; its whole length where little would be left."""
    frame = max(round(FRAME_SECONDS * sample_rate), 1)
    first, last = int(samples * (1 - _SLACK)), int(samples * (1 + _SLACK))
    if last + _SHORTEST_SECONDS * sample_rate >= len(audio):
        return len(audio)
    count = max((last - first) // frame, 1)
    levels = rms(audio[first : first + count * frame].reshape(count, -1))
    return first + int(np.argmin(levels)) * frame + frame // 2


def _trimmed(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Audio (S,) without the silence before and after it: frames 40 dB under the loudest."""
    frame = max(round(FRAME_SECONDS * sample_rate), 1)
    whole = len(audio) // frame * frame
    if not whole:
        return audio
    levels = rms(audio[:whole].reshape(-1, frame))
    heard = np.flatnonzero(levels >= levels.max() * from_db(-ACTIVE_RANGE_DB))
    return audio[heard[0] * frame : (heard[-1] + 1) * frame]


def _faded(piece: np.ndarray, fade: int) -> np.ndarray:
    """A piece (S,) whose ends do not click."""
    fade = min(fade, len(piece) // 2)
    ramp = np.linspace(0.0, 1.0, fade, endpoint=False, dtype=np.float32)
    faded = piece.copy()
    faded[:fade] *= ramp
    faded[len(faded) - fade :] *= ramp[::-1]
    return faded
