"""Read and write audio files through libsndfile; every failure is one line for a person."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from cplxsep.audio import header
from cplxsep.audio.atomic import replacing
from cplxsep.audio.encoding import (
    WRITE_FRAMES,
    encode,
    file_name,
    libsndfile_format,
    libsndfile_subtype,
)
from cplxsep.errors import InputError

_FLAVOURS = "wav flac ogg oga opus mp3 aiff aif aifc au caf w64 rf64 snd sph"
EXTENSIONS = frozenset(f".{name}" for name in _FLAVOURS.split())
_MP3_MEMORY = 12 * 1152


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says; `frames` are samples per channel, `sample_rate` in Hz."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate


class _Reader(soundfile.SoundFile):
    """soundfile seeks after each read of a file that can; MP3 decoding breaks at every seek."""

    def seekable(self) -> bool:
        return False


def probe(path: Path) -> AudioInfo:
    """Read the header. InputError: missing, folder, empty, not audio, truncated, zero-length."""
    with _open(path) as file:
        return _info(file, path)


def read(path: Path, *, start: int = 0, frames: int = -1) -> tuple[np.ndarray, int]:
    """Read float32 (channels, S) from sample `start` (`frames` -1: to the end) and the rate in Hz.

    InputError as `probe`, and where the data are truncated or hold NaN or infinity.
    """
    with _open(path) as file:
        wanted = _info(file, path).frames - start
        if frames >= 0:
            wanted = min(wanted, frames)
        return _read_exactly(file, path, start, max(wanted, 0)), file.samplerate


def blocks(path: Path, frames: int) -> Iterator[np.ndarray]:
    """Yield float32 (channels, S) blocks of `frames`, the last one shorter; errors as `read`."""
    with _open(path) as file:
        left = _info(file, path).frames
        while left > 0:
            size = min(frames, left)
            yield _read_exactly(file, path, None, size)
            left -= size


def write(
    path: Path,
    audio: np.ndarray,
    sample_rate: int,
    *,
    subtype: str = "float",
    container: str | None = None,
) -> None:
    """Write (S,) or (channels, S) to `path`, whole or not at all.

    `subtype` is float, pcm16 or pcm24; FLAC holds no float and gets 24 bits, Ogg is always Vorbis.
    `container` is wav, flac or ogg; None takes it from the file's name.
    ValueError: unknown kind, or NaN or |audio| > 1 outside float WAV (see `level.common_gain`).
    InputError: the file cannot be written, or the disk is full.
    """
    kind = (container or path.suffix.lstrip(".")).lower()
    encoding = libsndfile_subtype(kind, subtype)
    data = np.atleast_2d(audio).T
    if encoding != "FLOAT" and data.size and not np.max(np.abs(data)) <= 1.0:
        raise ValueError(f"{path}: NaN, or above full scale, which would clip in {kind} {subtype}")
    form = libsndfile_format(kind, data.size)
    # soundfile asserts that all was written: a full disk is an AssertionError there.
    with replacing(path, AssertionError, soundfile.LibsndfileError) as temporary:
        with soundfile.SoundFile(
            file_name(temporary), "w", sample_rate, data.shape[1], encoding, format=form
        ) as file:
            for first in range(0, len(data), WRITE_FRAMES):
                file.write(encode(data[first : first + WRITE_FRAMES], encoding))
        if encoding == "FLOAT":
            header.clear_timestamp(temporary)
        if len(data) and soundfile.info(file_name(temporary)).frames != len(data):
            raise OSError("the disk is full")


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not an audio file")
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if not path.is_file():
            raise InputError(f"{path} is no regular file: pipe audio into - instead")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes)")
        with path.open("rb") as raw:
            truncated = header.is_truncated(raw)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    with _decoding(path), _Reader(file_name(path)) as file:
        _reject_truncated(truncated, path)
        yield file


def _reject_truncated(truncated: bool, path: Path) -> None:
    if truncated:
        raise InputError(f"{path} is truncated: it announces more data than it has")


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    # TypeError: soundfile takes a name ending in .raw for headerless data.
    try:
        yield
    except (soundfile.LibsndfileError, TypeError) as error:
        why = getattr(error, "error_string", str(error)).rstrip(".")
        raise InputError(f"{path} is not readable audio: {why}") from error


def _info(file: Any, path: Path) -> AudioInfo:
    if file.frames <= 0:
        raise InputError(f"{path} holds no samples")
    return AudioInfo(path, file.samplerate, file.channels, file.frames, file.format, file.subtype)


def _read_exactly(file: Any, path: Path, start: int | None, frames: int) -> np.ndarray:
    if start:
        # An MP3 frame needs those before it, which a seek leaves out.
        start = min(start, file.frames)
        early = min(start, _MP3_MEMORY) if file.format == "MP3" else 0
        file.seek(start - early)
        file.read(early, dtype="float32")
    audio = file.read(frames, dtype="float32", always_2d=True)
    if len(audio) < frames:
        raise InputError(f"{path} is truncated: {frames - len(audio)} of its samples are missing")
    if not np.isfinite(audio).all():
        raise InputError(f"{path} holds samples that are NaN or infinite")
    return np.ascontiguousarray(audio.T)
