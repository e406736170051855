"""`prepare librimix`: LibriMix from its metadata, a copy of LibriSpeech, and WHAM noise.

The conventions are those of the original script (Cosentino et al., "LibriMix", 2020): each source
times its gain, at 16 kHz, resampled by scipy's polyphase filter in float32, cut or padded at the
end, added in order, and written as python-soundfile writes float32 to 16 bits, that is rounded
down. Noise gives its first channel, as long as the longest talker, repeated with cross-fades of
half a second where it is shorter.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from cplxsep.audio.level import db, rms
from cplxsep.data.mixing import Mode, add
from cplxsep.data.recipes.fixed import (
    ORIGINAL_RATE,
    FixedRecipe,
    at_rate,
    check_test_speakers,
    check_there,
    fit_all,
    from_steps,
    read_mono,
)
from cplxsep.data.recipes.preparation import Prepared, Rendered, Report, Task, Watch, subfolders
from cplxsep.data.table import Row, read_table
from cplxsep.errors import InputError, UsageError
from cplxsep.parallel import WHOLE, Shard, Workers

TYPES = ("mix_clean", "mix_both", "mix_single")


# Its text is in preparation.json, by which folders that were made before are known again.
@dataclass(frozen=True)
class Line:
    """A mixture of the metadata: recordings and gains; `noise` is ("", 0) where there is none."""

    name: str
    recordings: tuple[str, ...]
    gains: tuple[float, ...]
    noise: tuple[str, float]

    @property
    def speakers(self) -> list[str]:
        """That of test-clean/7127/75947/7127-75947-0026.flac is 7127."""
        paths = map(Path, self.recordings)
        return [path.parent.parent.name or path.stem.partition("-")[0] for path in paths]


def prepare_librimix(
    metadata: Path,
    librispeech: Path,
    out: Path,
    *,
    noise: Path | None = None,
    types: Sequence[str] = (),
    rates: Iterable[int] = (8000, 16000),
    modes: Iterable[Mode] = ("min", "max"),
    workers: Workers | None = None,
    shard: Shard = WHOLE,
    manifest_only: bool = False,
    report: Report = lambda _text: None,
    watch: Watch = lambda results, _total: results,
) -> Iterator[Prepared]:
    """Write OUT/Libri{N}Mix/wav{8,16}k/{min,max}/{train-100,dev,...}/{mix_clean,s1,...}.

    `metadata` is a CSV such as libri2mix_dev-clean.csv or a folder of them; `types` are of TYPES,
    all where there is noise, else mix_clean. Yields each folder when it is done. Recordings that
    cannot be used are told to `report`, and their mixtures left out.
    InputError: metadata missing or broken, no recording is found, a test speaker is in another
    split, OUT holds something else or cannot be written. UsageError: mixtures with noise, but none.
    """
    types = list(types) or list(TYPES if noise else TYPES[:1])
    if noise is None and types != ["mix_clean"]:
        raise UsageError("mixtures with noise need its folder: give --noise, or mix_clean alone")
    tables = {split_name(path): read_metadata_csv(path) for path in csv_files(metadata)}
    _check(tables, librispeech, noise)
    for rate, mode, (split, table) in product(rates, modes, tables.items()):
        count = len(table[0].recordings)
        folder = out / f"Libri{count}Mix" / f"wav{rate // 1000}k" / mode / split
        recipe = _LibriMix(table, split, rate, mode, librispeech, noise, types[0])
        files = [*types, *subfolders(count)[1:], *(["noise"] if noise else [])]
        files = [] if manifest_only else files
        yield recipe.prepare(folder, files, workers, shard, report, watch, types=types)


def _check(tables: dict[str, list[Line]], librispeech: Path, noise: Path | None) -> None:
    speakers: dict[str, set[str]] = {}
    for split, table in tables.items():
        names = {name for line in table for name in line.speakers}
        # Parts of one split, such as train-100 and train-360, may share speakers.
        speakers.setdefault(split.partition("-")[0], set()).update(names)
        paths = (librispeech / path for line in table for path in line.recordings)
        check_there(paths, f"the metadata of {split}", librispeech)
        if noise:
            if not all(line.noise[0] for line in table):
                raise InputError(f"the metadata of {split} names no noise: leave --noise out")
            check_there(
                (noise / line.noise[0] for line in table), f"the metadata of {split}", noise
            )
    for split in speakers:
        check_test_speakers(speakers, split)


@dataclass(frozen=True)
class _LibriMix(FixedRecipe[Line]):
    """The mixtures of one folder; `kind` is the first type of them."""

    recipe = "librimix"
    librispeech: Path
    noise: Path | None
    kind: str

    def render(self, task: Task[Line]) -> Rendered:
        line = task.plan
        bad: dict[str, str] = {}
        talkers = []
        for recording in line.recordings:
            try:
                talkers.append(read_mono(self.librispeech / recording))
            except InputError as error:
                bad[recording] = str(error)
        noise = None
        if self.noise and not bad:
            try:
                noise = read_noise(self.noise / line.noise[0], max(map(len, talkers)))
            except InputError as error:
                bad[line.noise[0]] = str(error)
        if bad:
            return Rendered(None, {}, bad)
        files = build(talkers, noise, line, self.sample_rate, self.mode)
        levels = [float(rms(files[f"s{n + 1}"])) for n in range(len(talkers))]
        for recording, level in zip(line.recordings, levels, strict=True):
            if not level:
                bad[recording] = f"{self.librispeech / recording} is silent where used"
        if bad:
            return Rendered(None, {}, bad)
        ratios = [db(levels[0] / level) for level in levels]
        row = self.row(line, self.kind, len(files["s1"]), ratios, line.gains)
        if self.noise:
            row |= {"noise_path": line.noise[0], "noise_gain": repr(line.noise[1])}
        return Rendered(row, files, {})


def read_noise(path: Path, samples: int) -> np.ndarray:
    """The first channel, cut or repeated to `samples`. InputError: unreadable or too short."""
    audio = read_mono(path, channel=0)[:samples]
    rising = np.hanning(ORIGINAL_RATE + 1)[: ORIGINAL_RATE // 2 + 1]
    fade = len(rising)
    if len(audio) < min(samples, fade + 1):
        raise InputError(f"{path} is shorter than a cross-fade of {fade / ORIGINAL_RATE:.1f} s")
    done, tail, length = [audio[:-fade]], audio[-fade:], len(audio)
    while length < samples:
        joint = tail * rising[::-1] + audio[:fade] * rising
        turn = np.concatenate([joint, audio[fade:]])
        done.append(turn[:-fade])
        tail, length = turn[-fade:], length + len(audio) - fade
    return np.concatenate([*done, tail])[:samples]


def build(
    talkers: list[np.ndarray], noise: np.ndarray | None, line: Line, sample_rate: int, mode: Mode
) -> dict[str, np.ndarray]:
    """All files of a mixture from its recordings (S,) at 16 kHz."""
    parts = [audio * gain for audio, gain in zip(talkers, line.gains, strict=True)]
    if noise is not None:
        parts.append(noise * line.noise[1])
    placed = fit_all([at_rate(part, sample_rate) for part in parts], mode)
    speech = placed[: len(talkers)]
    files = {f"s{number + 1}": _floored(source) for number, source in enumerate(speech)}
    files["mix_clean"] = _floored(add(speech))
    if noise is not None:
        files["noise"] = _floored(placed[-1])
        files["mix_both"] = _floored(add(placed))
        files["mix_single"] = _floored(add([placed[0], placed[-1]]))
    return files


def _floored(audio: np.ndarray) -> np.ndarray:
    """To 16 bits as libsndfile does where it clips: to 32 bits, of which the upper half stays."""
    return from_steps(np.floor(np.rint(audio.astype(np.float64) * (1 << 31)) / (1 << 16)))


def rebuild_librimix(
    row: Mapping[str, str], root: Path, noise_root: Path | None
) -> dict[str, np.ndarray]:
    """The files' audio from a row and the folders. KeyError, ValueError: the row is another's."""
    numbers = range(1, 1 + sum(f"source_{n}_path" in row for n in range(1, 21)))
    line = Line(
        row["name"],
        tuple(row[f"source_{n}_path"] for n in numbers),
        tuple(float(row[f"source_{n}_gain"]) for n in numbers),
        (row.get("noise_path") or "", float(row.get("noise_gain") or 0.0)),
    )
    talkers = [read_mono(root / path) for path in line.recordings]
    noise = None
    if line.noise[0] and noise_root:
        noise = read_noise(noise_root / line.noise[0], max(map(len, talkers)))
    mode: Mode = "min" if row["mode"] == "min" else "max"
    return build(talkers, noise, line, int(row["sample_rate"]), mode)


def csv_files(metadata: Path) -> list[Path]:
    """The CSV itself, or those of a folder. InputError: none in it."""
    if not metadata.is_dir():
        return [metadata]
    # Those ending in _info tell the speakers' names and the like.
    found = [path for path in sorted(metadata.glob("*.csv")) if not path.stem.endswith("_info")]
    if not found:
        raise InputError(f"{metadata} holds no CSV file")
    names = [split_name(path) for path in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(
            f"{metadata} holds several CSV files for {min(twice)}: give one of them, or a folder "
            "for each number of talkers"
        )
    return found


def split_name(path: Path) -> str:
    """The folder of libri2mix_train-clean-100.csv is train-100."""
    return path.stem.rpartition("mix_")[2].replace("-clean", "")


def read_metadata_csv(path: Path) -> list[Line]:
    """Mixtures of a CSV. InputError: missing, no LibriMix metadata, a broken or double line."""
    columns, rows = read_table(path)
    count = sum(f"source_{n}_path" in columns for n in range(1, 21))
    needed = {"mixture_ID", *(f"source_{n + 1}_gain" for n in range(count))}
    if count < 2 or not needed <= set(columns):
        raise InputError(
            f"{path} is no LibriMix metadata: it needs mixture_ID, "
            "source_1_path, source_1_gain, source_2_path, source_2_gain"
        )
    lines = [_line(row, count, where) for where, row in rows]
    if not lines:
        raise InputError(f"{path} lists no mixture")
    if len({line.name.casefold() for line in lines}) < len(lines):
        raise InputError(f"{path} lists a mixture twice")
    return lines


def _line(row: Row, count: int, where: str) -> Line:
    try:
        paths = tuple(row[f"source_{n + 1}_path"] for n in range(count))
        gains = tuple(float(row[f"source_{n + 1}_gain"]) for n in range(count))
        noise = (row.get("noise_path", ""), float(row.get("noise_gain") or 0.0))
    except ValueError as error:
        raise InputError(f"{where}: a path or gain is missing or no number") from error
    name = row["mixture_ID"]
    if not name or "/" in name or not all(paths) or not np.isfinite([*gains, noise[1]]).all():
        raise InputError(f"{where}: a name, path or gain is missing or makes no sense")
    return Line(name, paths, gains, noise)
