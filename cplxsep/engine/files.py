"""Separated sources into files, block by block: any length, whole or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from cplxsep.audio import header, io
from cplxsep.audio.atomic import replacing
from cplxsep.audio.encoding import (
    WRITE_FRAMES,
    check_rate,
    encode,
    file_name,
    libsndfile_format,
    libsndfile_subtype,
)
from cplxsep.audio.level import common_gain
from cplxsep.errors import InputError


class SourceWriter:
    """Writes blocks (N, S) into N files of float samples; knows their peak and levels."""

    def __init__(self, paths: Sequence[Path], sample_rate: int, frames: int) -> None:
        self._paths = paths
        self._files = [
            soundfile.SoundFile(
                file_name(path),
                "w",
                sample_rate,
                1,
                "FLOAT",
                format=libsndfile_format("wav", frames),
            )
            for path in paths
        ]
        self._energy = np.zeros(len(paths))
        self.frames = 0
        self.peak = 0.0
        self.gain = 1.0  # what the finished files are scaled by

    def write(self, sources: np.ndarray) -> None:
        """Append a block. OSError or LibsndfileError where that fails."""
        for file, samples in zip(self._files, sources, strict=True):
            _put(file, np.ascontiguousarray(samples))
        if sources.size:
            self.peak = max(self.peak, float(np.abs(sources).max()))
        self._energy += np.square(sources, dtype=np.float64).sum(axis=1)
        self.frames += sources.shape[1]

    @property
    def levels(self) -> list[float | None]:
        """RMS of each source as written, in dB re full scale; None for silence."""
        powers = self._energy * self.gain**2 / max(self.frames, 1)
        return [round(10 * float(np.log10(p)), 2) if p > 0 else None for p in powers]

    def close(self) -> None:
        """End the files. OSError if one did not take all."""
        for file in self._files:
            file.close()
        for path in self._paths:
            header.clear_timestamp(path)
            _verify(path, self.frames)

    def abandon(self) -> None:
        """Close the files, whatever their state."""
        for file in self._files:
            with suppress(Exception):
                file.close()


@contextmanager
def writing(
    paths: Sequence[Path],
    sample_rate: int,
    *,
    kind: str,
    subtype: str,
    frames: int,
    inspect: Callable[[Sequence[Path]], None] = lambda _: None,
) -> Iterator[SourceWriter]:
    """A writer of one file for each source; the files appear when the block has ended well.

    All are scaled by one gain if one would clip in a format that can.

    Args:
        kind: wav, flac or ogg.
        subtype: float, pcm16 or pcm24.
        frames: about how many samples will come.
        inspect: gets the complete files before they appear; if it fails none does.

    Raises:
        InputError: a folder or file cannot be written, the rate is too high for the container,
            or the disk is full.
    """
    encoding = libsndfile_subtype(kind, subtype)
    for path in paths:
        check_rate(path, kind, sample_rate)
        make_folder(path.parent)
    with ExitStack() as stack:
        finals = [stack.enter_context(replacing(path, soundfile.LibsndfileError)) for path in paths]
        drafts = finals
        if encoding != "FLOAT":
            # The common gain is known at the end only, so samples wait as floats.
            beside = tempfile.TemporaryDirectory(prefix=".cplxsep-", dir=paths[0].parent)
            folder = Path(stack.enter_context(beside))
            drafts = [folder / f"{index}.tmp" for index in range(len(paths))]
        writer = SourceWriter(drafts, sample_rate, frames)
        try:
            yield writer
            writer.close()
        finally:
            writer.abandon()
        if encoding != "FLOAT":
            writer.gain = common_gain(np.array([writer.peak]))
            for draft, final in zip(drafts, finals, strict=True):
                _convert(draft, final, kind, encoding, writer.gain)
        inspect(finals)


def _convert(draft: Path, final: Path, kind: str, encoding: str, gain: float) -> None:
    info, frames = io.probe(draft), 0
    form = libsndfile_format(kind, info.frames)
    with soundfile.SoundFile(
        file_name(final), "w", info.sample_rate, 1, encoding, format=form
    ) as file:
        for block in io.blocks(draft, WRITE_FRAMES):
            _put(file, encode(block[0] * gain, encoding))
            frames += block.shape[1]
    _verify(final, frames)


def _put(file: Any, samples: np.ndarray) -> None:
    try:
        file.write(samples)
    except AssertionError:  # soundfile's way to say that not all was written
        raise OSError("the disk is full") from None


def _verify(path: Path, frames: int) -> None:
    if soundfile.info(file_name(path)).frames != frames:
        raise OSError("the disk is full")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. InputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror or error}") from error


@contextmanager
def spooled(stream: BinaryIO | Any) -> Iterator[Path]:
    """A temporary file with all of a stream: most audio formats need to be read out of order.

    InputError: the stream is empty, or there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="cplxsep-") as folder:
        path = Path(folder) / "stdin"
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
        except OSError as error:
            raise InputError(f"cannot store standard input: {error.strerror}") from error
        if not path.stat().st_size:
            raise InputError("standard input is empty: pipe an audio file into it")
        yield path
