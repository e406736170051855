"""Orders of talkers by scores of which source is whom. Numpy only."""

import numpy as np

from cplxsep.metrics.assignment import best_permutation


def best_order(scores: np.ndarray) -> tuple[np.ndarray, float]:
    """Order (N,) with the highest summed score (N, N), and its lead over the next best."""
    order = best_permutation(scores)
    return order, lead_of(order, scores)


def lead_of(order: np.ndarray, scores: np.ndarray) -> float:
    """Lead of an order (N,) over the best other one by scores (N, N); negative if that is ahead."""
    rows = np.arange(len(order))
    own = scores[rows, order].sum()
    lead = np.inf
    for row in rows:
        # Any other order differs in at least one place: forbid each in turn.
        other = scores.copy()
        other[row, order[row]] = -1e6
        lead = min(lead, own - other[rows, best_permutation(other)].sum())
        if len(order) == 2:
            break  # there is one other, and it differs in both
    return float(lead)
