"""A folder of references, and the mixtures that belong to them, in the layouts of the field."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cplxsep.data.layout import (
    METADATA,
    Talkers,
    files_by_name,
    kinds,
    pick,
    read_mono,
    split_folder,
    talker_folders,
)
from cplxsep.data.table import read_table
from cplxsep.errors import InputError, UsageError


@dataclass
class Cut:
    """Examples that were cut to the shortest of their files: `seconds` at the most, by name.

    `others` tell how many samples the estimates of a side of a comparison have of a name, at a rate
    in Hz, None where they cannot be scored: both sides are scored on the same.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    others: list[Callable[[str, int], int | None]] = field(default_factory=list)

    def shortest(self, name: str, lengths: list[int], sample_rate: int) -> int:
        """To how many samples files of these lengths are cut."""
        others = [length for other in self.others if (length := other(name, sample_rate))]
        least, most = min([*lengths, *others]), max(lengths)
        if most > least:
            self.seconds[name] = max(self.seconds.get(name, 0.0), (most - least) / sample_rate)
        return least


class References:
    """What should have come out, by name.

    Layouts: sub-folders s1, s2, ... as in wsj0-2mix and LibriMix, with the mixtures in mix,
    mix_clean, mix_both or mix_single beside them; or flat, NAME_s1.wav, NAME_s2.wav, ... with the
    mixture NAME.wav; or, for enhancement, one reference NAME.wav each. WAV, FLAC and Ogg count.

    `names` are those that any talker has, `sources` the number of talkers, `mixtures` the files of
    the mixtures or None. mix_single of LibriMix has the first talker alone.
    """

    def __init__(self, folder: Path, mix: Path | None = None) -> None:
        """`mix`: folder of the mixtures, or the name of one in `folder`.

        InputError: a folder is missing or empty. UsageError: several folders of mixtures.
        """
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder")
        self.folder = folder
        self._talkers = Talkers(folder)
        nested, files = self._talkers.nested, self._talkers.files
        numbered = bool(self._talkers.each)
        if not numbered:
            self._talkers.one_alone(files, "{name}.wav")
        self._mix = self._mixture_folder(mix)
        if self._mix is not None and self._mix.name == "mix_single":
            self._talkers.keep(1)
        self.sources = len(self._talkers.each)
        self.names = sorted(set().union(*self._talkers.each))
        if not self.names:
            where = f"in s1 to s{self.sources}" if nested else "and no sub-folder s1"
            raise InputError(f"{folder} has no audio files {where}: expected references")
        self.mixtures = None if self._mix is None else files_by_name(self._mix)
        # Beside flat numbered references the plain name is the mixture.
        beside = numbered and not files.keys().isdisjoint(self.names)
        if self._mix is None and beside:
            self._mix, self.mixtures = folder, files

    def _mixture_folder(self, mix: Path | None) -> Path | None:
        """The folder of the mixtures that was named, or the only one there is."""
        if mix is not None:
            inside = self.folder / mix
            if mix.is_dir() or not inside.is_dir():
                return mix
            return inside
        found = kinds(self.folder)
        if not self._talkers.nested or not found:
            return None
        if len(found) > 1:
            raise UsageError(
                f"{self.folder} holds {' and '.join(found)}: choose with --mix {found[-1]}"
            )
        return self.folder / found[0]

    def files(self, name: str) -> tuple[list[Path], Path | None]:
        """The references of a name and its mixture, if there are mixtures. InputError: missing."""
        references = self._talkers.pick(name, "reference")
        if self._mix is None or self.mixtures is None:
            return references, None
        return references, pick(self.mixtures, name, "mixture", self._mix / f"{name}.wav")

    def load(self, name: str, cut: Cut | None = None) -> tuple[np.ndarray | None, np.ndarray, int]:
        """Mixture (S,) or None, references (N, S), rate in Hz; InputError as `read_alike`."""
        references, mixture = self.files(name)
        audio, rate = read_alike([*references, *([mixture] if mixture else [])], cut, name)
        return audio[-1] if mixture else None, audio[: self.sources], rate


def of_prepared(folder: Path, mix: Path | None) -> References:
    """The references of prepared mixtures: of a split's folder, or of one that holds one split.

    InputError, UsageError: as References; several splits are there, or a table without audio.
    """
    if not talker_folders(folder) and not any(folder.glob("*_s1.*")):
        tables = [*folder.glob(METADATA), *folder.glob(f"*/{METADATA}")]
        if tables and not any(map(kinds, (folder, *folder.iterdir()))):
            raise InputError(
                f"{tables[0]} lists mixtures without their audio, which eval needs: prepare them "
                "without --manifest-only"
            )
        folder = split_folder(folder)
    return References(folder, mix)


def listed(path: Path) -> tuple[list[str], int]:
    """Names in the column `name` of a CSV beside the mixtures, and how many rows name one again.

    InputError: there is none.
    """
    columns, rows = read_table(path)
    if not rows or "name" not in columns:
        raise InputError(f"{path} lists no mixtures: it needs a column name and a row for each")
    names = list(dict.fromkeys(row["name"] for _, row in rows))
    return names, len(rows) - len(names)


def read_alike(paths: list[Path], cut: Cut | None = None, name: str = "") -> tuple[np.ndarray, int]:
    """Mono files of one rate and length as float32 (files, S), and the rate in Hz.

    With `cut` their lengths may differ: all are cut to the shortest, noted there by `name`.

    InputError where one cannot be read, holds NaN, has several channels, or differs.
    """
    signals: list[np.ndarray] = []
    rates: list[int] = []
    for path in paths:
        audio, rate = read_mono(path, "only mono files can be scored")
        signals.append(audio)
        rates.append(rate)
        if rate != rates[0]:
            raise InputError(f"{paths[0]} has {rates[0]} Hz but {path} has {rate} Hz")
        if cut is None and len(audio) != len(signals[0]):
            raise InputError(
                f"{paths[0]} has {len(signals[0])} samples but {path} has {len(audio)}; "
                "--cut scores what both have"
            )
    length = len(signals[0])
    if cut is not None:
        length = cut.shortest(name, [len(signal) for signal in signals], rates[0])
    return np.stack([signal[:length] for signal in signals]), rates[0]
