"""`prepare librimix`: LibriMix from its metadata, a copy of LibriSpeech, and WHAM noise.

The conventions are those of the original script (Cosentino et al., "LibriMix", 2020): each source
times its gain, at 16 kHz, resampled by scipy's polyphase filter in float32, cut or padded at the
end, added in order, and written as python-soundfile writes float32 to 16 bits, that is rounded
down. Noise gives its first channel, as long as the longest talker, repeated with cross-fades of
half a second where it is shorter.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.level import db, rms
from cplxsep.data.mixing import Mode
from cplxsep.data.recipes.drawn import bucket
from cplxsep.data.recipes.fixed import (
    ORIGINAL_RATE,
    FixedRecipe,
    at_rate,
    check_test_speakers,
    check_there,
    complete,
    fit_all,
    from_steps,
    read_mono,
)
from cplxsep.data.recipes.librimix_metadata import (
    Line,
    csv_files,
    read_metadata_csv,
    speaker,
    split_name,
)
from cplxsep.data.recipes.preparation import Preparation, Prepared, Rendered, Report, Watch
from cplxsep.data.table import Row
from cplxsep.errors import InputError, UsageError
from cplxsep.parallel import WHOLE, Shard, Workers

TYPES = ("mix_clean", "mix_both", "mix_single")


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
    for rate in rates:
        for mode in modes:
            for split, table in tables.items():
                count = len(table[0].recordings)
                folder = out / f"Libri{count}Mix" / f"wav{rate // 1000}k" / mode / split
                maker = _Maker(librispeech, noise, split, tuple(types), rate, mode)
                identity = {
                    **{"recipe": "librimix 1", "sample_rate": rate, "mode": mode, "types": types},
                    "list": hashlib.sha256(repr(table).encode()).hexdigest()[:16],
                }
                files = [
                    *types,
                    *(f"s{n + 1}" for n in range(count)),
                    *(["noise"] if noise else []),
                ]
                files = [] if manifest_only else files
                preparation = Preparation(
                    folder, FixedRecipe(table, maker), identity, files, rate, shard
                )
                yield complete(preparation.run(workers, report, watch, []), len(table), report)


def _check(tables: dict[str, list[Line]], librispeech: Path, noise: Path | None) -> None:
    speakers: dict[str, set[str]] = {}
    for split, table in tables.items():
        names = {speaker(path) for line in table for path in line.recordings}
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
class _Maker:
    """Makes the mixtures of one folder."""

    librispeech: Path
    noise: Path | None
    split: str
    types: tuple[str, ...]
    sample_rate: int
    mode: Mode

    def __call__(self, line: Line) -> Rendered:
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
        return (
            Rendered(None, {}, bad) if bad else Rendered(self._row(line, files, levels), files, {})
        )

    def _row(self, line: Line, files: dict[str, np.ndarray], levels: list[float]) -> Row:
        samples = len(files["s1"])
        row = {
            "name": line.name,
            "split": self.split,
            "mixture_path": f"{self.types[0]}/{line.name}.wav",
            "sample_rate": str(self.sample_rate),
            "seconds": f"{samples / self.sample_rate:.6f}",
            "condition": bucket(db(levels[0] / levels[1])),
            "recipe": "librimix",
            "mode": self.mode,
            "samples": str(samples),
        }
        for number, recording in enumerate(line.recordings):
            row |= {
                f"source_{number + 1}_path": recording,
                f"source_{number + 1}_speaker": speaker(recording),
                f"source_{number + 1}_snr_db": f"{db(levels[0] / levels[number]):.4f}",
                f"source_{number + 1}_gain": repr(line.gains[number]),
            }
        if self.noise:
            row |= {"noise_path": line.noise[0], "noise_gain": repr(line.noise[1])}
        return row


def read_noise(path: Path, samples: int) -> np.ndarray:
    """The first channel, cut or repeated to `samples`. InputError: unreadable or too short."""
    audio = read_mono(path, channel=0)[:samples]
    rising = np.hanning(ORIGINAL_RATE + 1)[: ORIGINAL_RATE // 2 + 1]
    fade = len(rising)
    if len(audio) < min(samples, fade + 1):
        raise InputError(f"{path} is shorter than a cross-fade of {fade / ORIGINAL_RATE:.1f} s")
    whole = audio
    while len(whole) < samples:
        joint = whole[-fade:] * rising[::-1] + audio[:fade] * rising
        whole = np.concatenate([whole[:-fade], joint, audio[fade:]])
    return whole[:samples]


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
    files["mix_clean"] = _sum(speech)
    if noise is not None:
        files["noise"] = _floored(placed[-1])
        files["mix_both"] = _sum(placed)
        files["mix_single"] = _sum([placed[0], placed[-1]])
    return files


def _sum(sources: list[np.ndarray]) -> np.ndarray:
    mixture = np.zeros_like(sources[0])
    for source in sources:
        mixture += source
    return _floored(mixture)


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
