"""What `prepare librimix` reads: the metadata that LibriMix publishes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.data.table import Row, read_table
from cplxsep.errors import InputError


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
