"""Folders of references and of estimates: which files belong together."""

from pathlib import Path

import numpy as np

from cplxsep.errors import InputError
from cplxsep.metrics.listing import audio_files, pick, talker_files, talker_folders
from cplxsep.metrics.references import Cut, References, read_alike


class PairFolders:
    """References (see References) and the estimates for them, matched by name.

    Estimates are in sub-folders s1, s2, ... or flat as `cplxsep separate` writes them: NAME_s1.wav,
    NAME_s2.wav, ...; for a single reference also NAME_enhanced.wav or NAME.wav.
    """

    def __init__(self, references: References, est: Path) -> None:
        """InputError where the folder is missing or empty, or nothing in it fits any reference."""
        if not est.is_dir():
            raise InputError(f"{est} is not a folder")
        self.references, self.folder = references, est
        self._talkers = talker_folders(est)
        self.nested = bool(self._talkers)
        self._count = sum(map(len, self._talkers))
        if not self.nested:
            self._talkers = self._flat()
        missing = len(self._talkers) < references.sources
        if missing and self._count:
            raise InputError(
                f"{est} has estimates for {len(self._talkers)} of {references.sources} talkers"
            )
        names = set().union(*self._talkers).intersection(references.names)
        if not names:
            raise InputError(
                f"{est} has no estimate for any reference, such as {references.names[0]}"
            )

    def _flat(self) -> list[dict[str, Path]]:
        """Estimates of one folder by talker and name."""
        files = audio_files(self.folder)
        self._count = len(files)
        talkers: list[dict[str, Path]] = talker_files(files)
        if self.references.sources > 1:
            return talkers
        talker = talkers[0] if talkers else {}
        for name in self.references.names:
            # A name may itself end like that of an enhanced or a separated file.
            for stem in (f"{name}_s1", f"{name}_enhanced", name):
                if stem in files:
                    talker[name] = files[stem]
                    break
        return [talker]

    def load(
        self, name: str, cut: Cut | None = None
    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, int]:
        """Mixture (S,) or None, references (N, S), estimates (N, S), rate in Hz.

        InputError where a file is missing or bad, or two differ in rate, or in length without
        `cut` (see read_alike).
        """
        sources = self.references.sources
        references, mixture = self.references.files(name)
        estimates = [
            pick(talker, name, "estimate", self._expected(name, number))
            for number, talker in enumerate(self._talkers[:sources], 1)
        ]
        paths = [*references, *estimates, *([mixture] if mixture else [])]
        audio, rate = read_alike(paths, cut)
        return audio[-1] if mixture else None, audio[:sources], audio[sources : 2 * sources], rate

    def unused(self) -> int:
        """How many estimates have no reference: further names, or further sources."""
        known = set(self.references.names)
        used = self._talkers[: self.references.sources]
        return self._count - sum(len(known.intersection(talker)) for talker in used)

    def _expected(self, name: str, number: int) -> Path:
        if self.nested:
            return self.folder / f"s{number}" / f"{name}.wav"
        return self.folder / f"{name}_s{number}.wav"
