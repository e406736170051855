"""Prepared mixtures: one split's folder in the wsj0-2mix layout, {mix,s1,s2,...}/NAME.wav.

That of LibriMix is the same but for the mixtures, which are in mix_clean, mix_both or mix_single.
"""

from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.audio.layout import kinds
from cplxsep.data.cache import check_outliers
from cplxsep.data.table import read_table
from cplxsep.errors import InputError

METADATA = "metadata.csv"
NAME = ("name", "mixture_ID")  # ours and LibriMix's


class MixtureFolder:
    """The mixtures of one split, in the order of their names.

    `sources` is the number of source folders s1, s2, ...; `mix` the name of the mixtures' folder.
    """

    def __init__(self, path: Path, mix: str = "") -> None:
        """Take the folder of a split, or one that holds a single split.

        `mix` names the sub-folder of the mixtures; without it there must be only one.

        InputError: missing, several splits, several kinds of mixtures, no source folder, or no
        mixture in it.
        """
        self.path = split_folder(path)
        self.mix = mix or self._only_kind()
        self.sources = 0
        while (self.path / f"s{self.sources + 1}").is_dir():
            self.sources += 1
        if not self.sources:
            raise InputError(f"{self.path} has no folder s1 of sources beside {self.mix}")
        if self.mix == "mix_single":
            self.sources = 1
        files = sorted((self.path / self.mix).glob("*.wav"))
        self.names = [file.stem for file in files if not file.name.startswith(".")]
        if not self.names:
            raise InputError(f"{self.path / self.mix} holds no WAV file")
        self._metadata = read_metadata(self.path / METADATA)

    def _only_kind(self) -> str:
        found = kinds(self.path)
        if len(found) > 1:
            raise InputError(
                f"{self.path} holds {' and '.join(found)}: choose one by data.mix, as {found[-1]}"
            )
        return found[0]

    def __len__(self) -> int:
        return len(self.names)

    def files(self, name: str) -> tuple[Path, list[Path]]:
        """The mixture's file and the sources' files."""
        folders = [f"s{number + 1}" for number in range(self.sources)]
        return (
            self.path / self.mix / f"{name}.wav",
            [self.path / folder / f"{name}.wav" for folder in folders],
        )

    def load(self, name: str) -> tuple[np.ndarray, np.ndarray, int]:
        """Mixture (S,) and sources (N, S), float32, and the rate in Hz.

        InputError: a file is missing or unreadable, not mono, or fits the others in neither
        length nor rate.
        """
        mixture_file, source_files = self.files(name)
        signals: list[np.ndarray] = []
        rate, length = 0, 0
        for file in (mixture_file, *source_files):
            audio, own_rate = io.read(file)
            if len(audio) != 1:
                raise InputError(f"{file} has {len(audio)} channels: mixtures are mono")
            check_outliers(file, audio)
            if not signals:
                rate, length = own_rate, audio.shape[1]
            elif (own_rate, audio.shape[1]) != (rate, length):
                raise InputError(
                    f"{file} has {audio.shape[1]} samples at {own_rate} Hz, "
                    f"its mixture {length} at {rate} Hz"
                )
            signals.append(audio[0])
        return signals[0], np.stack(signals[1:]), rate

    @property
    def conversations(self) -> bool:
        """Whether `prepare conversations` made them: some talkers say nothing for long."""
        return any(row.get("recipe") == "conversations" for row in self._metadata.values())

    def metadata(self, name: str) -> dict[str, str]:
        """The row of metadata.csv; empty where there is none."""
        return self._metadata.get(name, {})


def split_folder(path: Path) -> Path:
    """The folder itself where it holds mixtures, or the only split in it. InputError: else."""
    if not path.is_dir():
        raise InputError(f"{path} is not a folder of mixtures")
    if kinds(path):
        return path
    splits = sorted(item for item in path.iterdir() if kinds(item))
    if not splits:
        raise InputError(f"{path} has no folder mix: it is no folder of mixtures")
    if len(splits) > 1:
        raise InputError(f"{path} holds several splits: choose {' or '.join(map(str, splits))}")
    return splits[0]


def read_metadata(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a metadata.csv by name; none if it is missing. InputError: unreadable, no names."""
    if not path.is_file():
        return {}
    columns, rows = read_table(path)
    column = next((key for key in NAME if key in columns), None)
    if column is None:
        raise InputError(f"{path} has no column name")
    return {row[column]: row for _, row in rows}
