"""Make a mixture again from its row of metadata.csv and the recordings: the very same samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.data.mixing import place
from cplxsep.data.recipes.librimix import rebuild_librimix
from cplxsep.data.recipes.mix import at_speed
from cplxsep.data.recipes.noisy import rebuild_noisy
from cplxsep.data.recipes.preparation import summed
from cplxsep.data.recipes.wsj0 import rebuild_wsj0
from cplxsep.data.recordings import usable
from cplxsep.errors import InputError


@dataclass(frozen=True)
class Roots:
    """Folders that the paths in a metadata.csv are relative to."""

    speech: Path
    noise: Path | None = None
    rooms: Path | None = None


def rebuild(row: Mapping[str, str], roots: Roots) -> dict[str, np.ndarray]:
    """Audio (S,) of a mixture by sub-folder, mix, s1, ..., as its files hold it.

    InputError: a recording is missing or has changed, or the row is of another kind.
    """
    try:
        if row.get("recipe") == "wsj0":
            return rebuild_wsj0(row, roots.speech)
        if row.get("recipe") == "librimix":
            return rebuild_librimix(row, roots.speech, roots.noise)
        if row.get("recipe") == "conversations":
            raise InputError(f"{row['name']}: a conversation cannot be made again from its row")
        if "noise_path" in row:
            if roots.noise is None:
                raise InputError(f"{row['name']}: the folder of the noise is not known")
            return rebuild_noisy(row, roots.speech, roots.noise, roots.rooms)
        return _talkers(row, roots.speech)
    except (KeyError, ValueError) as error:
        raise InputError(f"{row.get('name')}: the row does not tell how it was mixed") from error


def _talkers(row: Mapping[str, str], root: Path) -> dict[str, np.ndarray]:
    rate = int(row["sample_rate"])
    numbers = range(1, 1 + sum(f"source_{n}_path" in row for n in range(1, 10)))
    pieces = [_talker(row, f"source_{number}", rate, root) for number in numbers]
    starts = [int(row[f"source_{number}_start"]) for number in numbers]
    gains = np.array([row[f"source_{number}_gain"] for number in numbers], np.float32)
    scaled = place(pieces, starts, int(row["samples"])) * gains[:, None]
    return summed(scaled * np.float32(row["peak_gain"]))


def _talker(row: Mapping[str, str], source: str, rate: int, root: Path) -> np.ndarray:
    path = root / row[f"{source}_path"]
    audio = at_speed(usable(path, rate), float(row[f"{source}_speed"]))
    start, samples = int(row[f"{source}_offset"]), int(row[f"{source}_samples"])
    piece = audio[start : start + samples]
    if len(piece) < samples:
        raise InputError(f"{path} is shorter than when {row['name']} was mixed")
    return piece
