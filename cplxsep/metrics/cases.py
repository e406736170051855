"""What is scored, one example after another."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

Case = tuple[np.ndarray | None, np.ndarray, np.ndarray, int]


class Cases(Protocol):
    """What is scored: `load` gives mixture (S,) or None, references and estimates (N, S), rate."""

    names: list[str]
    has_mixture: bool

    def load(self, name: str) -> Case:
        """Raises InputError for an example that cannot be scored."""

    def metadata(self, name: str) -> Mapping[str, str]:
        """Columns of the example's metadata; empty without."""
