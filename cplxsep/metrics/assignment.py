"""Which estimate belongs to which reference."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def best_permutation(scores: ArrayLike) -> NDArray[np.intp]:
    """The permutation (N,) with the highest mean of scores[j, permutation[j]], for (N, N) scores.

    Rows are references, columns estimates. Pairs that cannot be scored are NaN: as few of them
    are used as possible, so a silent estimate never takes a reference from a sounding one.
    """
    matrix = np.array(scores, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"expected a square matrix of scores, got {matrix.shape}")
    finite = np.isfinite(matrix)
    if len(matrix) == 2 and finite.all():  # importing scipy takes longer than a short file does
        swapped = matrix[0, 1] + matrix[1, 0] > matrix[0, 0] + matrix[1, 1]
        return np.array([1, 0] if swapped else [0, 1])
    if not finite.all():
        known = matrix[finite]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        step = len(matrix) * (high - low + 1.0)
        # Each step outweighs everything that the finite scores can add up to.
        matrix = np.nan_to_num(matrix, nan=low - 2 * step, posinf=high + step, neginf=low - step)
    from scipy.optimize import linear_sum_assignment

    return np.asarray(linear_sum_assignment(matrix, maximize=True)[1])


def closest(references: ArrayLike, estimates: ArrayLike) -> NDArray[np.intp]:
    """The permutation (N,) of estimates (N, S) with the least squared error to references (N, S).

    It is defined for those who say nothing; levels count.
    """
    r, e = (np.asarray(signals, dtype=np.float64) for signals in (references, estimates))
    # The energies do not depend on the order: what is left of the error is the products.
    return best_permutation(r @ e.T)
