"""`prepare wsj0`: wsj0-2mix and wsj0-3mix from their published lists and a copy of WSJ0.

The conventions are those of the original MATLAB script (Hershey et al., "Deep clustering", 2016):
levels by P.56 of the whole utterances at 8 kHz, the same gains at 16 kHz, then per mixture one
gain, up or down, that brings the highest of mixture and sources to 0.9; cut or zero-padded at the
end; everything, the mixture too, rounded to 16 bits for itself; names with the levels as MATLAB
prints numbers. MATLAB's default resampler is a low-pass of 41 taps with a Kaiser window (beta 5);
scipy's polyphase resampler has the same taps to 1e-9. Nothing here was compared with files that
MATLAB wrote: equal levels given, single 16-bit steps can differ where a value lies between two.

Levels follow `activlev` of voicebox as of 2012. Its later versions append 0.35 s of silence before
they measure: with them the level of an utterance that ends in speech comes out lower, on 150
utterances of LibriSpeech by 0.015 dB in the mean, 0.07 dB at the 95th percentile, 0.19 dB at most.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.audio.p56 import p56_level
from cplxsep.data.mixing import Mode, add
from cplxsep.data.recipes.fixed import (
    FixedRecipe,
    at_rate,
    check_test_speakers,
    check_there,
    fit_all,
    from_steps,
    read_mono,
)
from cplxsep.data.recipes.preparation import Prepared, Rendered, Report, Task, Watch, subfolders
from cplxsep.errors import InputError
from cplxsep.parallel import WHOLE, Shard, Workers

SPLITS = ("tr", "cv", "tt")
_PEAK = 0.9
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


def prepare_wsj0(
    lists: Path,
    wsj0: Path,
    out: Path,
    *,
    sources: int = 2,
    rates: Iterable[int] = (8000, 16000),
    modes: Iterable[Mode] = ("min", "max"),
    splits: Iterable[str] = SPLITS,
    workers: Workers | None = None,
    shard: Shard = WHOLE,
    manifest_only: bool = False,
    report: Report = lambda _text: None,
    watch: Watch = lambda results, _total: results,
) -> Iterator[Prepared]:
    """Write OUT/{N}speakers/wav{8,16}k/{min,max}/{tr,cv,tt}/{mix,s1,s2,...}; yield each folder.

    `lists` holds mix_{N}_spk_{tr,cv,tt}.txt, `wsj0` the recordings, WAV or NIST sphere.
    Recordings that cannot be used are told to `report`, and their mixtures left out.
    InputError: a list is missing or broken, no recording is found, a test speaker is in another
    split, OUT holds something else or cannot be written.
    """
    tables = {
        split: read_list(lists / f"mix_{sources}_spk_{split}.txt", sources) for split in splits
    }
    speakers = {
        split: {name for line in table for name in line.speakers} for split, table in tables.items()
    }
    check_test_speakers(speakers, "tt")
    corpus = Corpus(wsj0)
    for split, table in tables.items():
        paths = (corpus.find(path) for line in table for path in line.recordings)
        check_there(paths, f"the list of {split}", wsj0)
    for rate, mode, (split, table) in product(rates, modes, tables.items()):
        folder = out / f"{sources}speakers" / f"wav{rate // 1000}k" / mode / split
        files = [] if manifest_only else subfolders(sources)
        recipe = _Wsj0(table, split, rate, mode, corpus)
        yield recipe.prepare(folder, files, workers, shard, report, watch)


@dataclass(frozen=True)
class _Wsj0(FixedRecipe[Line]):
    """The mixtures of one folder."""

    recipe = "wsj0"
    corpus: Corpus

    def render(self, task: Task[Line]) -> Rendered:
        line = task.plan
        pieces, gains, bad = [], [], {}
        for recording, level_db in zip(line.recordings, line.levels, strict=True):
            try:
                audio = self.corpus.read(recording)
                level = self.corpus.level(recording, audio)
            except InputError as error:
                bad[recording] = str(error)
                continue
            pieces.append(at_rate(audio, self.sample_rate))
            gains.append(from_db(level_db) / level)
        if bad:
            return Rendered(None, {}, bad)
        placed = np.stack(fit_all(pieces, self.mode))
        scaled = placed * np.array(gains)[:, None]
        highest = max(np.abs(scaled).max(), np.abs(scaled.sum(axis=0)).max())
        gains = [gain * (_PEAK / highest) for gain in gains]
        files = build(placed, gains)
        ratios = [line.levels[0] - level for level in line.levels]
        return Rendered(self.row(line, "mix", placed.shape[1], ratios, gains), files, {})


def build(placed: np.ndarray, gains: list[float]) -> dict[str, np.ndarray]:
    """The files of a mixture from its sources (N, S), float64, at the mixture's rate."""
    scaled = placed * np.array(gains)[:, None]
    files = {f"s{number + 1}": _rounded(source) for number, source in enumerate(scaled)}
    return {"mix": _rounded(add(scaled)), **files}


def _rounded(audio: np.ndarray) -> np.ndarray:
    """To 16 bits, halves away from zero."""
    return from_steps(np.trunc(audio * 32768 + np.copysign(0.5, audio)))


def rebuild_wsj0(row: Mapping[str, str], root: Path) -> dict[str, np.ndarray]:
    """The files' audio from a row and WSJ0. KeyError, ValueError: the row is another's."""
    corpus, rate = Corpus(root), int(row["sample_rate"])
    numbers = range(1, 1 + sum(f"source_{n}_path" in row for n in range(1, 10)))
    pieces = [at_rate(corpus.read(row[f"source_{n}_path"]), rate) for n in numbers]
    gains = [float(row[f"source_{n}_gain"]) for n in numbers]
    return build(np.stack(fit_all(pieces, "min" if row["mode"] == "min" else "max")), gains)


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


def _is_shortened(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError:
        return False
    return head.startswith(b"NIST_1A") and b"shorten" in head
