"""What libsndfile does not read, AAC and video among it: decoded by ffmpeg where it is installed.

It writes WAV into a pipe, so that nothing is stored.
"""

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from cplxsep.audio.pipe import NotStreamableError, WavStream
from cplxsep.audio.recording import UNKNOWN
from cplxsep.errors import InputError, tell

_FLAVOURS = (
    "3gp aac ac3 amr ape asf avi flv m2ts m4a m4b m4v mka mkv mov mp4 mpc mpeg mpg mts ogv ra rm "
    "spx tta webm wma wmv wv"
)
EXTENSIONS = frozenset(f".{name}" for name in _FLAVOURS.split())


def is_installed() -> bool:
    """Whether there is a program ffmpeg."""
    return shutil.which("ffmpeg") is not None


def advice(path: Path) -> str:
    """What to do with a file that needs ffmpeg where that is not installed."""
    return (
        f"{path} needs ffmpeg, which is not installed here; where it is: "
        f"ffmpeg -i {path.name} -f wav - | cplxsep separate -"
    )


def tell_left_out(folder: Path, paths: Iterable[Path]) -> None:
    """Tell how many of the files in a folder were left out because ffmpeg is not installed."""
    if is_installed():
        return
    kinds = Counter(path.suffix.lower()[1:] for path in paths if path.suffix.lower() in EXTENSIONS)
    if kinds:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        tell(f"{folder}: left out {counts}: install ffmpeg to read them")


class Decoded:
    """The first audio track of a file, as `Recording` gives it; once only."""

    frames = UNKNOWN
    tags: Mapping[str, str] = {}

    def __init__(self, path: Path, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        stream = WavStream(process.stdout, str(path))
        self._stream, self._process, self._path = stream, process, path
        self.sample_rate, self.channels = stream.info.sample_rate, stream.info.channels
        self.format, self.subtype = "ffmpeg", stream.info.subtype

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """Float32 blocks (channels, S) of `size`, the last one shorter. InputError."""
        yield from self._stream.blocks(size)
        if self._process.wait():
            raise InputError(f"{self._path} is not readable audio: ffmpeg broke off")


@contextmanager
def decoding(path: Path) -> Iterator[Decoded]:
    """A file that ffmpeg decodes. InputError: it cannot, as it says, or it holds no audio."""
    command = [
        *("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", f"file:{path}"),
        *("-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-"),
    ]
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said
            )
        except OSError as error:
            raise InputError(f"cannot run ffmpeg for {path}: {error.strerror or error}") from error
        with process:
            try:
                yield Decoded(path, process)
            except (NotStreamableError, InputError) as error:
                process.kill()
                process.wait()
                said.seek(0)
                lines = said.read().decode(errors="replace").splitlines()
                last = next((line.strip() for line in reversed(lines) if line.strip()), None)
                if last is None and isinstance(error, InputError):
                    raise  # It decoded well: the audio itself is what cannot be used.
                told = f"ffmpeg says: {last or 'nothing'}"
                raise InputError(f"{path} is not readable audio: {told}") from error
            finally:
                process.kill()
