"""Prepared mixtures: one split's folder, {mix,s1,s2,...}/NAME.wav, to train on."""

from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.data.layout import (
    METADATA,
    kinds,
    read_metadata,
    read_mono,
    split_folder,
    talker_folders,
)
from cplxsep.data.recordings import check_outliers
from cplxsep.errors import InputError


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
        self._talkers = talker_folders(self.path)
        if not self._talkers:
            raise InputError(f"{self.path} has no folder s1 of sources beside {self.mix}")
        if self.mix == "mix_single":
            del self._talkers[1:]
        self.sources = len(self._talkers)
        folder = self.path / self.mix
        files = io.audio_files(folder.glob("*.wav"), folder, (".wav",))
        self.names = [file.stem for file in files]
        if not self.names:
            raise InputError(f"{folder} holds no WAV file")
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
        file = f"{name}.wav"
        return self.path / self.mix / file, [folder / file for folder in self._talkers]

    def load(self, name: str) -> tuple[np.ndarray, np.ndarray, int]:
        """Mixture (S,) and sources (N, S), float32, and the rate in Hz.

        InputError: a file is missing or unreadable, not mono, or fits the others in neither
        length nor rate.
        """
        mixture_file, source_files = self.files(name)
        signals: list[np.ndarray] = []
        rate, length = 0, 0
        for file in (mixture_file, *source_files):
            audio, own_rate = read_mono(file, "mixtures are mono")
            check_outliers(file, audio)
            if not signals:
                rate, length = own_rate, len(audio)
            elif (own_rate, len(audio)) != (rate, length):
                raise InputError(
                    f"{file} has {len(audio)} samples at {own_rate} Hz, "
                    f"its mixture {length} at {rate} Hz"
                )
            signals.append(audio)
        return signals[0], np.stack(signals[1:]), rate

    @property
    def conversations(self) -> bool:
        """Whether `prepare conversations` made them: some talkers say nothing for long."""
        return any(row.get("recipe") == "conversations" for row in self._metadata.values())
