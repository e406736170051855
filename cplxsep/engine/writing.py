"""Separated sources into files, block by block: any length, whole or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import soundfile

from cplxsep.audio import header, io, tags
from cplxsep.audio.atomic import make_folder, replacing, temporary
from cplxsep.audio.encoding import (
    WRITE_FRAMES,
    check_channels,
    check_rate,
    encode,
    file_name,
    libsndfile_format,
    libsndfile_subtype,
)
from cplxsep.audio.level import common_gain
from cplxsep.engine.blocks import SILENT
from cplxsep.errors import InputError

UNKNOWN = 1 << 62  # samples, as good as any number that is not known


class SourceWriter:
    """Writes blocks (N, S) or (N, C, S) into N files of float samples; knows peak and levels."""

    def __init__(
        self,
        paths: Sequence[Path],
        sample_rate: int,
        frames: int,
        channels: int = 1,
        own_tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._paths = paths
        self._files: list[soundfile.SoundFile] = []
        form = libsndfile_format("wav", frames * channels)
        try:
            for path in paths:
                name = file_name(path)
                file = soundfile.SoundFile(name, "w", sample_rate, channels, "FLOAT", format=form)
                self._files.append(file)
                tags.write(file, own_tags)
        except BaseException:
            self.abandon()
            raise
        self._sum, self._energy = np.zeros((2, len(paths), channels))
        self.frames = 0
        self.peak = 0.0
        self.gain = 1.0  # what the finished files are scaled by

    def write(self, sources: np.ndarray) -> None:
        """Append a block. OSError or LibsndfileError where that fails."""
        if not sources.size:
            return
        for file, samples in zip(self._files, sources, strict=True):
            _put(file, np.ascontiguousarray(samples.T))
        self.peak = max(self.peak, float(np.abs(sources).max()))
        rows = sources.reshape(*self._sum.shape, -1)
        self._sum += rows.sum(axis=-1, dtype=np.float64)
        self._energy += np.square(rows, dtype=np.float64).sum(axis=-1)
        self.frames += sources.shape[-1]

    @property
    def levels(self) -> list[float | None]:
        """RMS of each source as written, less its mean, in dB re full scale; None for silence."""
        count = max(self.frames, 1)
        powers = (self._energy / count - np.square(self._sum / count)).mean(axis=1) * self.gain**2
        return [round(10 * float(np.log10(p)), 2) if p > SILENT else None for p in powers]

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
    channels: int = 1,
    own_tags: Mapping[str, str] = MappingProxyType({}),
    inspect: Callable[[Sequence[Path]], None] = lambda _: None,
) -> Iterator[SourceWriter]:
    """A writer of one file for each source; the files appear when the block has ended well.

    All are scaled by one gain if one would clip in a format that can.

    Args:
        kind: wav, flac, ogg or mp3.
        subtype: float, pcm16 or pcm24.
        frames: how many samples will come, 0 where that is not known.
        channels: of each file. own_tags: title and so on of all of them.
        inspect: gets the complete files before they appear; if it fails none does.

    Raises:
        InputError: a folder or file cannot be written, the rate is too high or the channels are
            too many for the container, or the disk is full.
    """
    encoding = libsndfile_subtype(kind, subtype)
    # Samples wait as floats for the common gain, or for their number, which is in a WAV's header.
    final_at_once = encoding == "FLOAT" and frames > 0
    for path in paths:
        check_rate(path, kind, sample_rate)
        check_channels(path, kind, channels)
        make_folder(path.parent)
    with ExitStack() as stack:
        # Drafts first: they still fill the disk when a final file asks why it cannot be written.
        late = [] if final_at_once else paths
        drafts = [stack.enter_context(temporary(path)) for path in late]
        finals = [stack.enter_context(replacing(path, soundfile.LibsndfileError)) for path in paths]
        drafts = drafts or finals
        at_once = own_tags if final_at_once else {}
        writer = SourceWriter(drafts, sample_rate, frames or UNKNOWN, channels, at_once)
        try:
            yield writer
            writer.close()
        finally:
            writer.abandon()
        if not final_at_once:
            if encoding != "FLOAT":
                writer.gain = common_gain(np.array([writer.peak]))
            for draft, final in zip(drafts, finals, strict=True):
                _convert(draft, final, kind, encoding, writer.gain, own_tags)
                draft.unlink()
        inspect(finals)


def _convert(
    draft: Path, final: Path, kind: str, encoding: str, gain: float, own_tags: Mapping[str, str]
) -> None:
    info, frames = io.probe(draft), 0
    form = libsndfile_format(kind, info.frames * info.channels)
    with soundfile.SoundFile(
        file_name(final), "w", info.sample_rate, info.channels, encoding, format=form
    ) as file:
        if kind != "mp3":
            tags.write(file, own_tags)
        for block in io.blocks(draft, WRITE_FRAMES):
            _put(file, encode(block.T * gain, encoding))
            frames += block.shape[1]
    if encoding == "FLOAT":
        header.clear_timestamp(final)
    if kind == "mp3":
        tags.prepend(final, own_tags)
    _verify(final, frames)


def _put(file: Any, samples: np.ndarray) -> None:
    try:
        file.write(samples)
    except AssertionError:  # soundfile's way to say that not all was written
        raise OSError("the disk is full") from None


def _verify(path: Path, frames: int) -> None:
    if soundfile.info(file_name(path)).frames != frames:
        raise OSError("the disk is full")


@contextmanager
def spooled(stream: Any, head: bytes = b"") -> Iterator[Path]:
    """A temporary file with all of a stream: most audio formats need to be read out of order.

    InputError: the stream is empty or breaks, or there is no room for it.
    """
    with tempfile.TemporaryDirectory(prefix="cplxsep-") as folder:
        path = Path(folder) / "stdin"
        try:
            with path.open("wb") as file:
                file.write(head)
                shutil.copyfileobj(stream, file, 1 << 20)
        except OSError as error:
            place = path.parent.parent
            raise InputError(f"cannot store standard input in {place}: {error.strerror}") from error
        yield path
