"""Training on the mixtures that a metadata.csv lists, made anew from the recordings each time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cplxsep.data.layout import MIXTURES, read_metadata
from cplxsep.data.recipes.rebuild import Roots, rebuild
from cplxsep.data.rounds import Example, Rounds
from cplxsep.errors import InputError


class ListedMixtures(Rounds):
    """Endless examples from a metadata.csv by `prepare ... --manifest-only`, as from files."""

    def __init__(
        self,
        metadata: Path,
        roots: Roots,
        *,
        sample_rate: int,
        sources: int,
        seconds: float,
        mix: str = "",
        seed: int = 0,
        silent: Callable[[], None] | None = None,
    ) -> None:
        """`mix` names the kind of mixtures; without it they are those that the table names.
        `silent`: as for `Rounds`.

        InputError: no mixture listed, or one of another rate or number of sources.
        """
        rows = read_metadata(metadata)
        # In the order of the files that they stand for.
        self._rows = [rows[name] for name in sorted(rows, key="{}.wav".format)]
        if not self._rows:
            raise InputError(f"{metadata} lists no mixture")
        for row in self._rows:
            own = sum(f"source_{number}_path" in row for number in range(1, 10))
            if mix == "mix_single":
                own = 1
            if own != sources or row.get("sample_rate") != str(sample_rate):
                raise InputError(
                    f"{metadata}: {row['name']} has {own} sources at {row.get('sample_rate')} Hz, "
                    f"not {sources} at {sample_rate} Hz"
                )
        super().__init__(len(self._rows), round(seconds * sample_rate), seed, silent)
        self._roots = roots
        self._sources = sources
        self._mix = mix

    def load(self, position: int) -> Example:
        """Mixture (S,) and sources (N, S), float32.

        InputError: a recording cannot be read, or there is no mixture of that kind.
        """
        row = self._rows[position]
        files = rebuild(row, self._roots)
        sources = np.stack([files[f"s{number + 1}"] for number in range(self._sources)])
        # LibriMix has mixtures of several kinds: the table names one.
        mix = self._mix or row.get("mixture_path", "").partition("/")[0]
        if mix not in files:
            known = ", ".join(kind for kind in MIXTURES if kind in files)
            raise InputError(f"{row['name']}: there is no mixture '{mix}'; there are: {known}")
        return files[mix], sources
