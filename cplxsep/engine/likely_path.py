"""The likeliest states of a chain that rarely leaves the one it is in (Viterbi 1967)."""

import numpy as np


def likely_path(scores: np.ndarray, price: float) -> np.ndarray:
    """The path (K,) whose states' scores (K, S), less `price` for each change, are the most."""
    path: list[int] = []
    for totals in reversed(_totals(scores, price)):
        best = int(totals.argmax())
        stays = path and totals[path[-1]] >= totals[best] - price
        path.append(path[-1] if stays else best)
    return np.array(path[::-1])


def leads(scores: np.ndarray, path: np.ndarray, price: float) -> np.ndarray:
    """By how much a path (K,) beats the best that does not change where it does; inf elsewhere.

    There states may be any before and behind, but go on from one to the other.
    """
    changes = path[1:] != path[:-1]
    if not changes.any():
        return np.full(len(path), np.inf)
    ahead = _totals(scores, price)
    behind = _totals(scores[::-1], price)[::-1]
    most = scores[np.arange(len(path)), path].sum() - price * changes.sum()
    going_on = (ahead[:-1] + behind[1:]).max(axis=1)
    return np.concatenate([[np.inf], np.where(changes, most - going_on, np.inf)])


def _totals(scores: np.ndarray, price: float) -> np.ndarray:
    """Of the best paths that end in each state (K, S)."""
    totals = [scores[0]]
    for score in scores[1:]:
        totals.append(np.maximum(totals[-1], totals[-1].max() - price) + score)
    return np.stack(totals)
