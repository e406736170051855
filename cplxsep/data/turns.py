"""Talkers who take turns: who speaks when, and what, in a conversation of any length."""

from collections.abc import Callable, Sequence

import numpy as np

from cplxsep.audio.level import ACTIVE_RANGE_DB, FRAME_SECONDS, active_rms, from_db, rms
from cplxsep.data_config import ConversationConfig

_PAUSE_SECONDS = (0.1, 2.0)
_FADE_SECONDS = 0.01  # at both ends of a turn
_SHORTEST_SECONDS = 0.3  # of a turn
# A turn may end this much sooner or later than was drawn, where the talker is softest.
_SLACK = 0.25


class Voice:
    """One talker, whose recordings are read on from turn to turn, all at one level.

    Args:
        recordings: number of them; `read` gives one (S,), float32. They come in a drawn order,
            and again from the first when all are used.
    """

    def __init__(
        self,
        recordings: int,
        read: Callable[[int], np.ndarray],
        sample_rate: int,
        rng: np.random.Generator,
    ) -> None:
        self._order = rng.permutation(recordings)
        self._read = read
        self._rate = sample_rate
        self._next = 0
        self._rest: np.ndarray = np.zeros(0, np.float32)

    def skip(self, share: float) -> None:
        """Begin within the first recording, after a `share` of it."""
        self._open()
        self._rest = self._rest[int(share * len(self._rest)) :]

    def take(self, samples: int) -> np.ndarray:
        """About `samples` (S,), up to the softest place near their end, or to the recording's."""
        if len(self._rest) < _SHORTEST_SECONDS * self._rate:
            self._open()
        cut = _softest(self._rest, samples, self._rate)
        piece, self._rest = self._rest[:cut], self._rest[cut:]
        return _faded(piece, round(_FADE_SECONDS * self._rate))

    def _open(self) -> None:
        audio = self._read(int(self._order[self._next % len(self._order)]))
        self._next += 1
        level = active_rms(audio, self._rate)
        self._rest = _trimmed(audio, self._rate) / np.float32(level or 1.0)


def converse(
    voices: Sequence[Voice],
    samples: int,
    sample_rate: int,
    config: ConversationConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """What each of N talkers says in a conversation: (N, samples), float32.

    Neighbouring turns overlap, so that both talk in a share of the time drawn from
    `config.overlap`, or have a pause between them, after which either may go on.
    """
    ratio = rng.uniform(*config.overlap)
    # Turns of one length that overlap by this share of it overlap in `ratio` of the whole time.
    share = ratio / (1 + ratio)
    talk = np.zeros((len(voices), samples), np.float32)
    free = [0] * len(voices)
    talker = int(rng.integers(len(voices)))
    before, paused = 0, False  # length of the turn before, and whether there is a pause after it
    while True:
        piece = voices[talker].take(round(rng.uniform(*config.turns) * sample_rate))
        if paused:
            start = max(free) + round(rng.uniform(*_PAUSE_SECONDS) * sample_rate)
        else:
            start = max(max(free) - round(share * min(before, len(piece))), free[talker])
        if start >= samples:
            return talk
        kept = piece[: samples - start]
        talk[talker, start : start + len(kept)] = kept
        free[talker] = start + len(piece)
        before, paused = len(piece), rng.random() < config.pauses
        # Only another can talk over somebody; after a pause the same talker may go on.
        if len(voices) > 1 and (not paused or rng.random() < 0.5):
            others = [other for other in range(len(voices)) if other != talker]
            talker = others[int(rng.integers(len(others)))]


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
