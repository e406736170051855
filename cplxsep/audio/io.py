"""Read and write audio files through libsndfile; every failure is one line for a person."""

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from cplxsep.audio import ffmpeg, header
from cplxsep.audio.atomic import replacing
from cplxsep.audio.encoding import (
    WRITE_FRAMES,
    check_rate,
    encode,
    file_name,
    libsndfile_format,
    libsndfile_subtype,
)
from cplxsep.audio.recording import UNKNOWN, AudioInfo, Recording
from cplxsep.errors import InputError

_FLAVOURS = "wav flac ogg oga opus mp3 aiff aif aifc au caf w64 rf64 snd sph"
EXTENSIONS = frozenset(f".{name}" for name in _FLAVOURS.split())
_AT_ONCE = 1 << 22  # samples that are read in one go


def probe(path: Path) -> AudioInfo:
    """Read the header; a FLAC that was written to a pipe tells its length only when decoded.

    InputError: missing, folder, empty, not audio, truncated, zero-length.
    """
    with _open(path) as file:
        frames = file.frames
        if frames >= UNKNOWN:
            frames = sum(block.shape[1] for block in file.blocks(WRITE_FRAMES))
        return AudioInfo(
            *(path, file.sample_rate, file.channels, frames, file.format, file.subtype),
            tags=file.tags,
        )


def read(path: Path) -> tuple[np.ndarray, int]:
    """Read float32 (channels, S) and the rate in Hz.

    InputError as `probe`, and where the data are truncated or hold NaN or infinity.
    """
    with _open(path) as file:
        # What a header announces may be more than any memory holds.
        blocks = list(file.blocks(max(_AT_ONCE // file.channels, 1)))
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=1), file.sample_rate


def blocks(path: Path, frames: int, known: AudioInfo | None = None) -> Iterator[np.ndarray]:
    """Yield float32 (channels, S) blocks of `frames`, the last one shorter; errors as `read`.

    known: what `probe` said before. InputError: the file has another rate or channels by now.
    """
    with _open(path) as file:
        now = (file.sample_rate, file.channels)
        if known and now != (known.sample_rate, known.channels):
            raise InputError(f"{path} changed while this ran: run it again")
        yield from file.blocks(frames)


def write(path: Path, audio: np.ndarray, sample_rate: int, *, subtype: str = "float") -> None:
    """Write (S,) or (channels, S) to `path` (.wav, .flac or .ogg), whole or not at all.

    `subtype` is float, pcm16 or pcm24; FLAC holds no float and gets 24 bits, Ogg is always Vorbis.
    ValueError: unknown kind, or NaN or |audio| > 1 outside float WAV (see `level.common_gain`).
    InputError: the file cannot be written, the disk is full, or ogg at more than 200 kHz.
    """
    kind = path.suffix.lstrip(".").lower()
    encoding = libsndfile_subtype(kind, subtype)
    check_rate(path, kind, sample_rate)
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


def extensions() -> frozenset[str]:
    """Of files that can be read here: more where ffmpeg is installed."""
    return EXTENSIONS | ffmpeg.EXTENSIONS if ffmpeg.is_installed() else EXTENSIONS


def audio_files(paths: Iterable[Path], top: Path, suffixes: Container[str]) -> list[Path]:
    """Those of the paths below `top` that end in one of the suffixes, sorted; none that is hidden.

    A leading dot marks other programs' side files and our unfinished ones.
    """
    return [
        path
        for path in sorted(paths)
        if path.suffix.lower() in suffixes
        and not any(part.startswith(".") for part in path.relative_to(top).parts)
    ]


@contextmanager
def _open(path: Path) -> Iterator[Recording | ffmpeg.Decoded]:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder, not an audio file")
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if not path.is_file():
            raise InputError(f"{path} is no regular file: pipe audio into - instead")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes)")
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    with file:
        if path.suffix.lower() in ffmpeg.EXTENSIONS and ffmpeg.is_installed():
            with ffmpeg.decoding(path) as decoded:
                yield decoded
            return
        with _decoding(path):
            yield Recording(path, file)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    # TypeError: soundfile takes a name ending in .raw for headerless data.
    try:
        yield
    except (soundfile.LibsndfileError, TypeError) as error:
        why = getattr(error, "error_string", str(error)).rstrip(".")
        if "SF_INFO struct incomplete" in why:
            why = "its header tells no sample rate or number of channels that audio has"
        if path.suffix.lower() in ffmpeg.EXTENSIONS:
            raise InputError(ffmpeg.advice(path)) from error
        raise InputError(f"{path} is not readable audio: {why}") from error
