"""WAV from a pipe, block by block: what cannot be sought through need not be stored either."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from cplxsep.audio import header
from cplxsep.audio.parts import SMALL, TAGS
from cplxsep.audio.recording import AudioInfo, check_rate, checked
from cplxsep.errors import InputError, tell

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
# By kind and bytes a sample: how numpy reads it, and what stands for full scale.
_TYPES = {
    (_PCM, 1): ("u1", 1 << 7),
    (_PCM, 2): ("<i2", 1 << 15),
    (_PCM, 3): ("u1", 1 << 31),
    (_PCM, 4): ("<i4", 1 << 31),
    (_FLOAT, 4): ("<f4", 1),
    (_FLOAT, 8): ("<f8", 1),
}
_LONGEST_CHUNK = 1 << 16  # bytes of a chunk before the audio that are kept


class Readable(Protocol):
    """Anything with read."""

    def read(self, size: int, /) -> bytes | None: ...


class NotStreamableError(Exception):
    """The stream holds no WAV that can be read as it comes; `head` is what was taken from it."""

    def __init__(self, head: bytes) -> None:
        super().__init__("no WAV that can be streamed")
        self.head = head


class WavStream:
    """The audio of a RIFF or RF64 WAV that comes through a pipe.

    info: its `frames` are 0 where the header does not tell, as from programs that stream.
    head: the bytes before the audio.

    Raises:
        NotStreamableError: it is something else.
        InputError: it is empty or cannot be read.
    """

    def __init__(self, stream: Readable, label: str) -> None:
        self._stream = stream
        self._label = label
        self.head = b""
        magic = self._take(4, header=True)
        if magic not in (b"RIFF", b"RF64"):
            raise NotStreamableError(self.head)
        if self._take(8, header=True)[4:] != b"WAVE":
            raise NotStreamableError(self.head)
        self._length = self._find_audio()
        self.info = self._describe()

    def _find_audio(self) -> int:
        """Read up to the audio; give its bytes, 0 where unknown."""
        wide, self._format, self._empty = 0, b"", False
        while True:
            name, size = self._take(4, header=True), self._take(4, header=True)
            length = int.from_bytes(size, "little")
            if name == b"data":
                if length == 0xFFFFFFFF and wide:
                    return wide
                self._empty = length == 0
                return 0 if header.is_unknown(length) else length
            if length > _LONGEST_CHUNK:
                raise NotStreamableError(self.head)
            body = self._take(length + length % 2, header=True)
            if name == b"fmt ":
                self._format = body
            elif name == b"ds64":
                wide = int.from_bytes(body[8:16], "little")

    def _describe(self) -> AudioInfo:
        tag, channels, rate, align, bits = (
            int.from_bytes(self._format[first : first + size], "little")
            for first, size in ((0, 2), (2, 2), (4, 4), (12, 2), (14, 2))
        )
        if tag == _EXTENSIBLE:
            tag = int.from_bytes(self._format[24:26], "little")
        width = align // channels if channels else 0
        kind = _TYPES.get((tag, width))
        # What is padded is read by libsndfile, from the whole of it.
        if kind is None or align != width * channels or (bits + 7) // 8 != width:
            raise NotStreamableError(self.head)
        check_rate(self._label, rate)
        self._align, self._width, self._type, self._full = align, width, *kind
        self._channels = channels
        frames = self._length // align
        return AudioInfo(Path(self._label), rate, channels, frames, "WAV", f"{8 * width} bits")

    def blocks(self, frames: int) -> Iterator[np.ndarray]:
        """Float32 (channels, S) blocks of `frames`, the last one shorter. Once only.

        InputError: the stream breaks off, is empty, or holds NaN or infinity.
        """
        left = self._length // self._align if self._length else None
        done = 0
        while left is None or done < left:
            wanted = frames if left is None else min(frames, left - done)
            data = self._take(wanted * self._align)
            if self._empty and not done:
                self._check_empty(data)
            if left is None and self._is_filled_up(done * self._align, data):
                data = data[:-1]
            if len(data) % self._align or (left is not None and len(data) < wanted * self._align):
                seconds = (done + len(data) // self._align) / self.info.sample_rate
                raise InputError(f"{self._label} broke off after {seconds:.1f} s of audio")
            if data:
                done += len(data) // self._align
                with np.errstate(invalid="ignore", over="ignore"):  # it is checked then
                    samples = self._decoded(data)
                yield checked(samples, self._label)
            if len(data) < wanted * self._align:
                break
        if not done:
            raise InputError(f"{self._label} holds no samples")
        if left is not None:
            self._check_rest()

    def _check_empty(self, data: bytes) -> None:
        """What a length of 0 means, by the first bytes behind it."""
        told = header.promise(io.BytesIO(self.head + data), 0, len(self.head + data))
        if told is None or told.known:
            raise InputError(f"{self._label} holds no samples")
        tell(f"{self._label}: its header gives no length; all that is there is read")

    def _check_rest(self) -> None:
        """InputError: behind the audio comes more of it; what is unknown is told."""
        rest = self._take(SMALL + 1)[self._length % 2 :]
        if rest.startswith((b"RIFF", b"RF64")) or self._has_more_audio(rest):
            raise InputError(
                f"{self._label}: another recording follows the first: give each as a file"
            )
        if len(rest) >= SMALL and not header.is_name(rest[:4]) and not rest.startswith(TAGS):
            tell(
                f"{self._label}: its header announces {self.info.seconds:.1f} s of audio; what is "
                "behind them is not read"
            )

    def _has_more_audio(self, rest: bytes) -> bool:
        """Whether there is audio, or more small chunks and then audio, from these bytes on."""
        while len(rest) >= 8 and header.is_name(rest[:4]) and not rest.startswith(b"data"):
            length = int.from_bytes(rest[4:8], "little")
            if length > _LONGEST_CHUNK:
                return False
            end = 8 + length + length % 2
            rest += self._take(max(end + 8 - len(rest), 0))
            rest = rest[end:]
        return rest.startswith(b"data")

    def _is_filled_up(self, before: int, data: bytes) -> bool:
        """Whether the last byte only makes the length even, as some programs do in a pipe."""
        even = (before + len(data)) % 2 == 0
        return even and len(data) % self._align == 1 and data.endswith(b"\0")

    def _decoded(self, data: bytes) -> np.ndarray:
        if self._type == "u1" and self._width == 3:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            samples = wide.view("<i4")[:, 0].astype(np.float64)
        else:
            samples = np.frombuffer(data, self._type).astype(np.float64)
            if self._type == "u1":
                samples -= 128
        scaled = (samples / self._full).astype(np.float32)
        return np.ascontiguousarray(scaled.reshape(-1, self._channels).T)

    def _take(self, size: int, *, header: bool = False) -> bytes:
        """The next bytes; fewer, but in the header an error, where the stream ends."""
        parts, left = [], size
        while left and (part := self._read(left)):
            parts.append(part)
            left -= len(part)
        data = b"".join(parts)
        if header:
            self.head += data
            if left and not self.head:
                raise InputError(f"{self._label} is empty: pipe an audio file into it")
            if left:
                raise NotStreamableError(self.head)
        return data

    def _read(self, size: int) -> bytes | None:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise InputError(f"cannot read {self._label}: {error.strerror or error}") from error
