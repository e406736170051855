"""What `prepare wsj0` reads: the published lists, and the recordings of WSJ0."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.p56 import p56_level
from cplxsep.data.recipes.fixed import at_rate, read_mono
from cplxsep.errors import InputError

_LEVEL_RATE = 8000  # Hz
_SUFFIXES = (".wav", ".wv1", ".sph", ".flac")


# Its text is in preparation.json, by which folders that were made before are known again.
@dataclass(frozen=True)
class Line:
    """A mixture of a list: recordings as named there, and their levels in dB."""

    recordings: tuple[str, ...]
    levels: tuple[float, ...]

    @property
    def name(self) -> str:
        """As the original script names its files."""
        pairs = zip(self.recordings, self.levels, strict=True)
        return "_".join(f"{Path(path).stem}_{matlab_number(level)}" for path, level in pairs)

    @property
    def speakers(self) -> list[str]:
        """That of wsj0/si_tr_s/01t/01to030v.wav is 01t."""
        return [Path(path).parent.name for path in self.recordings]


def read_list(path: Path, sources: int) -> list[Line]:
    """Lines of recordings and levels in turn. InputError: missing, broken, names twice."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"cannot read the list {path}: {why}") from error
    lines: list[Line] = []
    for number, row in enumerate(text.splitlines(), 1):
        words = row.split()
        if not words:
            continue
        try:
            levels = tuple(float(word) for word in words[1::2])
        except ValueError:
            levels = ()
        if len(words) != 2 * sources or len(levels) != sources or not np.isfinite(levels).all():
            raise InputError(
                f"{path} line {number} does not have {sources} recordings, each with its level"
            )
        lines.append(Line(tuple(words[::2]), levels))
    if not lines:
        raise InputError(f"{path} lists no mixture")
    if len({line.name.casefold() for line in lines}) < len(lines):
        raise InputError(f"{path} lists a mixture twice")
    return lines


def matlab_number(value: float) -> str:
    """A number as MATLAB's num2str prints it: 4 digits after the point of a number above 1."""
    digits = 5 + (int(np.floor(np.log10(abs(value)))) if abs(value) >= 1 else 0)
    return f"{value + 0.0:.{digits}g}"


class Corpus:
    """Recordings of WSJ0 under a folder; their levels are measured once."""

    def __init__(self, root: Path) -> None:
        """InputError: no such folder."""
        if not root.is_dir():
            raise InputError(f"{root} is not a folder with WSJ0")
        self.root = root
        # Discs may lie beside each other, or the very folder wsj0 be given.
        self._bases = [root, *sorted(item for item in root.glob("*") if (item / "wsj0").is_dir())]
        self._levels: dict[str, float] = {}

    def find(self, recording: str) -> Path:
        """The file of a name of the lists; where there is none, the path that it would have."""
        names = [recording, recording.removeprefix("wsj0/")]
        for base in self._bases:
            for name in names:
                for suffix in _SUFFIXES:
                    path = (base / name).with_suffix(suffix)
                    if path.is_file():
                        return path
        return self.root / recording

    def read(self, recording: str) -> np.ndarray:
        """Read float64 (S,) at 16 kHz. InputError: missing, unreadable, or shorten-compressed."""
        path = self.find(recording)
        try:
            return read_mono(path).astype(np.float64)
        except InputError as error:
            if _is_shortened(path):
                raise InputError(
                    f"{path} is compressed with shorten, which libsndfile cannot read: convert "
                    f"it first, with sph2pipe -f wav"
                ) from error
            raise

    def level(self, recording: str, audio: np.ndarray) -> float:
        """Active level of a recording, measured at 8 kHz. InputError: it is silent."""
        if recording not in self._levels:
            level = p56_level(at_rate(audio, _LEVEL_RATE), _LEVEL_RATE)
            if level <= 0.0:
                raise InputError(f"{self.find(recording)} is silent")
            self._levels[recording] = level
        return self._levels[recording]


def _is_shortened(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return False
    return head.startswith(b"NIST_1A") and b"shorten" in head
