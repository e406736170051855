"""A folder of estimates: which of its files belong to which references."""

from pathlib import Path

import numpy as np

from cplxsep.data.layout import Talkers, read_mono
from cplxsep.data.references import Cut, References, read_alike
from cplxsep.errors import InputError


class EstimateFiles:
    """The estimates for some references, by name.

    In sub-folders s1, s2, ... or flat as `cplxsep separate` writes them: NAME_s1.wav,
    NAME_s2.wav, ...; for a single reference also NAME_enhanced.wav or NAME.wav.
    """

    def __init__(self, references: References, est: Path) -> None:
        """InputError where the folder is missing or empty, or nothing in it fits any reference."""
        if not est.is_dir():
            raise InputError(f"{est} is not a folder")
        self.references = references
        self._talkers = Talkers(est)
        self._count = len(self._talkers.files) or sum(map(len, self._talkers.each))
        if not self._talkers.nested and references.sources == 1:
            self._take_enhanced()
        each = self._talkers.each
        if self._count and len(each) < references.sources:
            raise InputError(f"{est} has estimates for {len(each)} of {references.sources} talkers")
        names = set().union(*each).intersection(references.names)
        if not names:
            raise InputError(
                f"{est} has no estimate for any reference, such as {references.names[0]}"
            )
        self._talkers.keep(references.sources)

    def _take_enhanced(self) -> None:
        """Of one talker there may be files of other names."""
        files, talkers = self._talkers.files, self._talkers.each
        talker = talkers[0] if talkers else {}
        for name in self.references.names:
            # A name may itself end like that of an enhanced or a separated file.
            for stem in (f"{name}_s1", f"{name}_enhanced", name):
                if stem in files:
                    talker[name] = files[stem]
                    break
        self._talkers.one_alone(talker)

    def load(
        self, name: str, cut: Cut | None = None
    ) -> tuple[np.ndarray | None, np.ndarray, np.ndarray, int]:
        """Mixture (S,) or None, references (N, S), estimates (N, S), rate in Hz.

        InputError where a file is missing or bad, or two differ in rate, or in length without
        `cut` (see read_alike).
        """
        sources = self.references.sources
        references, mixture = self.references.files(name)
        estimates = self._talkers.pick(name, "estimate")
        paths = [*references, *estimates, *([mixture] if mixture else [])]
        audio, rate = read_alike(paths, cut, name)
        return audio[-1] if mixture else None, audio[:sources], audio[sources : 2 * sources], rate

    def shortest(self, name: str, sample_rate: int) -> int | None:
        """The fewest samples of its files of a name; None where these cannot be scored."""
        try:
            found = [read_mono(path, "") for path in self._talkers.pick(name, "estimate")]
        except InputError:  # which is told where they are to be scored
            return None
        return min(len(audio) if rate == sample_rate else 0 for audio, rate in found) or None

    def unused(self) -> int:
        """How many estimates have no reference: further names, or further sources."""
        known = set(self.references.names)
        return self._count - sum(len(known.intersection(own)) for own in self._talkers.each)
