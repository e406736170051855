"""Orders of talkers by scores of which source is whom. Numpy only."""

import numpy as np

from cplxsep.metrics.assignment import best_permutation


def lead_of_best(scores: np.ndarray) -> float:
    """By how much the order with the highest summed score (N, N) leads over the next best."""
    rows, order = np.arange(len(scores)), best_permutation(scores)
    own, leads = scores[rows, order].sum(), []
    for row in rows:
        # Any other order differs in at least one place: forbid each in turn.
        other = scores.copy()
        other[row, order[row]] = -1e6
        leads.append(own - other[rows, best_permutation(other)].sum())
        if len(order) == 2:
            break  # there is one other, and it differs in both
    return float(min(leads))
