"""Numbers of a group of examples, as a device takes them."""

from collections.abc import Sequence

import numpy as np

_ROWS = 8


def floats(values: Sequence[float] | Sequence[Sequence[float]]) -> np.ndarray:
    """In float32."""
    return np.array(values, np.float32)


def even(rows: Sequence[int]) -> np.ndarray:
    """Numbers of rows, some again so that they are a multiple of 8.

    FFTs are planned anew for each number of rows, and what is done twice gives the same twice.
    """
    return np.resize(np.array(rows, np.int64), -(-len(rows) // _ROWS) * _ROWS)
