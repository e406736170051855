"""Training on the mixtures that a metadata.csv lists, made anew from the recordings each time."""

from pathlib import Path

import numpy as np

from cplxsep.audio.resample import fit
from cplxsep.data.folders import read_metadata
from cplxsep.data.plan import generator
from cplxsep.data.recipes.rebuild import Roots, rebuild
from cplxsep.errors import InputError


class ListedMixtures:
    """The mixtures of a metadata.csv by `prepare ... --manifest-only`, over and over.

    Each round takes all in another order; of a longer mixture a random part of `seconds`, a
    shorter one is padded with zeros. Example i depends on the seed and i alone.
    """

    def __init__(
        self,
        metadata: Path,
        roots: Roots,
        *,
        sample_rate: int,
        sources: int,
        seconds: float,
        seed: int = 0,
    ) -> None:
        """InputError: no mixture listed, or one of another rate or number of sources."""
        self._rows = list(read_metadata(metadata).values())
        if not self._rows:
            raise InputError(f"{metadata} lists no mixture")
        for row in self._rows:
            own = sum(f"source_{number}_path" in row for number in range(1, 10))
            if own != sources or row.get("sample_rate") != str(sample_rate):
                raise InputError(
                    f"{metadata}: {row['name']} has {own} sources at {row.get('sample_rate')} Hz, "
                    f"not {sources} at {sample_rate} Hz"
                )
        self._roots = roots
        self._sources = sources
        self._samples = round(seconds * sample_rate)
        self._seed = seed

    def __len__(self) -> int:
        return len(self._rows)

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and sources (N, S), float32. InputError: a recording cannot be read."""
        turn, place = divmod(index, len(self._rows))
        # Two kinds of numbers: orders of rounds and parts of examples.
        order = generator(self._seed, 0, turn).permutation(len(self._rows))
        files = rebuild(self._rows[order[place]], self._roots)
        signals = np.stack([files["mix"], *(files[f"s{n + 1}"] for n in range(self._sources))])
        spare = max(signals.shape[1] - self._samples, 0)
        start = int(generator(self._seed, 1, index).integers(spare + 1))
        cut = fit(signals[:, start:], self._samples)
        return cut[0], cut[1:]
