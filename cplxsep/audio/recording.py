"""An audio file that is open: all that it holds, in blocks, and what is to be said of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from cplxsep.audio import header, parts, tags
from cplxsep.audio.encoding import file_name
from cplxsep.audio.quiet import heard
from cplxsep.audio.window import Part, Window
from cplxsep.errors import InputError, tell

UNKNOWN = 1 << 62  # frames; libsndfile says more where a header does not tell
RATES = (1000, 1_000_000)
"""In Hz, the lowest and the highest that a recording has."""
# The tightest of codecs needs a byte for some 6,000 samples of silence.
_MOST_FRAMES_PER_BYTE = 8192


@dataclass(frozen=True)
class AudioInfo:
    """What is known of a file; `frames` are samples per channel, `sample_rate` in Hz.

    `tags` are title, artist and so on, where the file tells them.
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate


class _Reader(soundfile.SoundFile):
    """soundfile seeks after each read of a file that can; MP3 decoding breaks at every seek."""

    def seekable(self) -> bool:
        return False


class Recording:
    """What the parts of a file hold one after the other; `frames` is UNKNOWN where not told.

    InputError: truncated, without samples, parts that do not fit, or a rate that is none.
    LibsndfileError where libsndfile cannot read it.
    """

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        size = file.seek(0, 2)
        self._parts = parts.find(file, size)
        self._whole = self._parts == [Part(0, size)]
        self._is_mp3 = parts.is_mp3(file)
        self._frames = [self._inspect(part) for part in self._parts]
        self.frames = min(sum(self._frames), UNKNOWN)
        if file.seek(0, 2) < size:  # libsndfile announces what it found there
            raise InputError(f"{path} is truncated: it became shorter as it was opened")
        if self.frames <= 0:
            raise InputError(f"{path} holds no samples")

    def _inspect(self, part: Part) -> int:
        """What a part announces, in samples; what all have in common is kept of the first."""
        truncated = header.is_truncated(self._file, part.start, part.end)
        if part.twice:
            raise InputError(f"{self.path} is not readable audio: its header announces two pieces")
        with self._opened(part) as audio:
            if truncated:
                raise InputError(f"{self.path} is truncated: it announces more data than it has")
            check_rate(self.path, audio.samplerate)
            if part is self._parts[0]:
                self.sample_rate, self.channels = audio.samplerate, audio.channels
                self.format, self.subtype = audio.format, audio.subtype
                self.tags = tags.read(audio)
            elif (audio.samplerate, audio.channels) != (self.sample_rate, self.channels):
                raise InputError(
                    f"{self.path} is joined from recordings of {self.sample_rate} and "
                    f"{audio.samplerate} Hz, {self.channels} and {audio.channels} channels: "
                    "take it apart first"
                )
            length = part.end - part.start
            if length * _MOST_FRAMES_PER_BYTE < audio.frames < UNKNOWN:
                raise InputError(
                    f"{self.path} is truncated or its header wrong: it announces {audio.frames} "
                    f"samples in {length} bytes"
                )
            self._tell(part, audio.frames / audio.samplerate)
            return int(audio.frames)

    def _tell(self, part: Part, seconds: float) -> None:
        if part.assumed:
            tell(f"{self.path}: its header gives no length; all that is there is read")
        if part.unread:
            tell(
                f"{self.path}: its header announces {seconds:.1f} s of audio; {part.unread} bytes "
                "behind them are not read"
            )

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """All of it, float32 in blocks (channels, S) of `size`, the last one shorter.

        InputError: less than announced, NaN or infinity.
        """
        waiting: list[np.ndarray] = []
        have = got = 0
        for part, frames in zip(self._parts, self._frames, strict=True):
            with self._opened(part) as audio:
                # What it had when it was inspected: it may have been cut meanwhile.
                left = frames
                while left > 0:
                    wanted = min(size - have, left)
                    with heard(self.path, self._is_mp3):
                        data = audio.read(wanted, dtype="float32", always_2d=True)
                    left -= len(data)
                    have += len(data)
                    if len(data):
                        waiting.append(data)
                    if len(data) < wanted and frames < UNKNOWN:
                        raise InputError(f"{self.path} is truncated: {left} samples are missing")
                    if have == size:
                        yield self._block(waiting)
                        waiting, have = [], 0
                    if len(data) < wanted:
                        break
                got += frames - left
        if not got:
            raise InputError(f"{self.path} holds no samples")
        if waiting:
            yield self._block(waiting)

    def _block(self, pieces: list[np.ndarray]) -> np.ndarray:
        whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        return checked(np.ascontiguousarray(whole.T), self.path)

    @contextmanager
    def _opened(self, part: Part) -> Iterator[Any]:
        # By its name libsndfile takes any .raw for samples without a header.
        named = self._whole and self.path.suffix.lower() != ".raw"
        source = file_name(self.path) if named else Window(self._file, part)
        with heard(self.path, self._is_mp3):
            audio = _Reader(source)
        with audio:
            yield audio


def check_rate(label: object, sample_rate: int) -> None:
    """InputError: no recording has such a sample rate, in Hz."""
    if not RATES[0] <= sample_rate <= RATES[1]:
        raise InputError(
            f"{label} claims a sample rate of {sample_rate} Hz: from {RATES[0]} to {RATES[1]} Hz "
            "can be read"
        )


def checked(audio: np.ndarray, label: object) -> np.ndarray:
    """The samples as they are. InputError: they are NaN or infinite."""
    if not np.isfinite(audio).all():
        raise InputError(f"{label} holds samples that are NaN or infinite")
    return audio
