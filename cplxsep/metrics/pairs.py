"""Folders of references and of estimates: which files belong together."""

from pathlib import Path

import numpy as np

from cplxsep.audio import io
from cplxsep.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg")


class PairFolders:
    """References REF/s1/NAME.wav, REF/s2/NAME.wav, ... and the estimates for them.

    Estimates are laid out like the references, or flat as `cplxsep separate` writes them:
    NAME_s1.wav, NAME_s2.wav, ... Mixtures are MIX/NAME.wav; without `mix`, REF/mix if it exists.
    WAV, FLAC and Ogg files count. `names` are those that any source of the reference has.
    """

    def __init__(self, ref: Path, est: Path, mix: Path | None = None) -> None:
        """InputError where a folder is missing or empty."""
        for folder in (ref, est) if mix is None else (ref, est, mix):
            if not folder.is_dir():
                raise InputError(f"{folder} is not a folder")
        self.references, self.estimates = ref, est
        self.mixtures = mix or (ref / "mix" if (ref / "mix").is_dir() else None)
        self.sources = 0
        while (ref / f"s{self.sources + 1}").is_dir():
            self.sources += 1
        if not self.sources:
            raise InputError(f"{ref} has no sub-folder s1 with references")
        folders = [ref / f"s{j + 1}" for j in range(self.sources)]
        files = {path.stem for folder in folders for path in _audio_files(folder)}
        self.names = sorted(files)
        if not self.names:
            raise InputError(f"{ref} has no audio files in s1 to s{self.sources}")
        self._flat = not (est / "s1").is_dir()

    def load(self, name: str) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, int]:
        """Mixture (S,) or None, references (N, S), estimates (N, S), rate in Hz.

        InputError where a file is missing or bad, or two differ in rate or length.
        """
        order = range(1, self.sources + 1)
        paths = [_find(self.references / f"s{j}", name, "reference") for j in order]
        paths += [self._estimate(name, j) for j in order]
        if self.mixtures is not None:
            paths.append(_find(self.mixtures, name, "mixture"))
        audio, rate = _read_alike(paths)
        mixture = audio[-1] if self.mixtures is not None else None
        return mixture, audio[: self.sources], audio[self.sources : 2 * self.sources], rate

    def unused(self) -> int:
        """How many estimates have no reference: further names, or further sources."""
        if self._flat:
            found = [path.stem for path in _audio_files(self.estimates)]
            known = {f"{name}_s{j + 1}" for name in self.names for j in range(self.sources)}
            return sum(stem not in known for stem in found)
        folders = [path for path in self.estimates.glob("s*") if path.name[1:].isdecimal()]
        known_folders = {f"s{j + 1}" for j in range(self.sources)}
        return sum(
            path.stem not in self.names or folder.name not in known_folders
            for folder in folders
            for path in _audio_files(folder)
        )

    def _estimate(self, name: str, source: int) -> Path:
        if self._flat:
            return _find(self.estimates, f"{name}_s{source}", "estimate")
        return _find(self.estimates / f"s{source}", name, "estimate")


def _audio_files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        # A leading dot marks other programs' side files.
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]


def _find(folder: Path, stem: str, what: str) -> Path:
    for suffix in SUFFIXES:
        path = folder / (stem + suffix)
        if path.is_file():
            return path
    raise InputError(f"missing {what}: {folder / stem}.wav")


def _read_alike(paths: list[Path]) -> tuple[np.ndarray, int]:
    """Mono files of one rate and length as float32 (files, S), and the rate in Hz."""
    signals: list[np.ndarray] = []
    rates: list[int] = []
    for path in paths:
        audio, rate = io.read(path)
        if len(audio) != 1:
            raise InputError(f"{path} has {len(audio)} channels: only mono files can be scored")
        signals.append(audio[0])
        rates.append(rate)
        if rate != rates[0]:
            raise InputError(f"{paths[0]} has {rates[0]} Hz but {path} has {rate} Hz")
        if len(audio[0]) != len(signals[0]):
            raise InputError(
                f"{paths[0]} has {len(signals[0])} samples but {path} has {len(audio[0])}"
            )
    return np.stack(signals), rates[0]
