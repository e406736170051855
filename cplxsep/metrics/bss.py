"""SDR, SIR and SAR of BSS-eval version 3 (Vincent et al. 2006), computed by fast_bss_eval."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cplxsep.metrics.assignment import best_permutation
from cplxsep.metrics.coherence import Array, signals, silent, to_db, unit_level

FILTER_LENGTH = 512
"""Taps of the distortion filter that the metrics forgive, as in mir_eval and the toolbox."""

TOLERANCE = 1e-6
"""Rounding can make a singular system solvable, with squared cosines further than this outside
of what they can be."""


@dataclass(frozen=True)
class BssPairs:
    """Scores in dB of every pair, each (N, M): N references, M estimates.

    NaN where the reference or the estimate is silent. SIR and SAR are NaN everywhere if
    `dependent`: the references, filtered, add up to one another, so that no part of an estimate
    belongs to one of them. With a single sounding reference nothing interferes: SIR is infinite.
    """

    sdr: Array
    sir: Array
    sar: Array
    dependent: bool = False


def bss_pairs(
    references: ArrayLike, estimates: ArrayLike, *, interference: bool = True
) -> BssPairs:
    """Score every estimate (M, S) against every reference (N, S); limited to +-100 dB.

    Agrees with mir_eval.separation.bss_eval_sources.
    Without `interference` SIR and SAR are left NaN: SDR needs N small systems of equations, they
    need one that is N times larger. ValueError where the lengths differ.
    """
    ref, est = signals(references), signals(estimates)
    if ref.shape[1] != est.shape[1]:
        raise ValueError(f"references have {ref.shape[1]} samples, estimates {est.shape[1]}")
    rows, columns = ~silent(ref), ~silent(est)
    sdr, sir, sar = (np.full((len(ref), len(est)), np.nan) for _ in range(3))
    if not (rows.any() and columns.any()):
        return BssPairs(sdr, sir, sar)
    sounding = _padded(ref[rows]), _padded(est[columns])
    where = np.ix_(rows, columns)
    found = _both(*sounding) if interference else None
    one = _own(*sounding) if found is None else found[0]
    sdr[where] = to_db(np.where((one > -TOLERANCE) & (one < 1 + TOLERANCE), one, np.nan))
    if found is None:
        return BssPairs(sdr, sir, sar, dependent=interference)
    all_ = found[1]
    sar[where] = to_db(all_)
    # An estimate outside all references has two cosines of 0; its SIR is then the lowest.
    sir[where] = to_db(one / np.maximum(all_, 1e-12)) if rows.sum() > 1 else np.inf
    return BssPairs(sdr, sir, sar)


def _padded(values: Array) -> Array:
    """Signals at norm 1 and at least as long as the filter.

    Zeros change no inner product, but below the filter's length the library's FFT wraps round.
    """
    return unit_level(np.pad(values, ((0, 0), (0, max(0, FILTER_LENGTH - values.shape[1])))))


def _own(references: Array, estimates: Array) -> Array:
    """Squared cosines (N, M) with the shifts of one reference each; NaN if unsolvable."""
    from fast_bss_eval.numpy.linalg import toeplitz
    from fast_bss_eval.numpy.metrics import compute_stats

    own, cross = compute_stats(references, estimates, length=FILTER_LENGTH)
    try:
        filters = np.linalg.solve(toeplitz(own), cross)
    except np.linalg.LinAlgError:
        return np.full((len(references), len(estimates)), np.nan)
    return np.asarray(np.einsum("nlm,nlm->nm", cross, filters))


def _both(references: Array, estimates: Array) -> tuple[Array, Array] | None:
    """Squared cosines (N, M) with the shifts of one reference and of all; None if unsolvable."""
    from fast_bss_eval.numpy import square_cosine_metrics

    try:
        # The references as further estimates show whether one of them makes another.
        both = np.concatenate([estimates, references])
        one, all_ = square_cosine_metrics(references, both, filter_length=FILTER_LENGTH)
    except np.linalg.LinAlgError:
        return None
    likeness = one[:, len(estimates) :] - np.eye(len(references))
    one, all_ = one[:, : len(estimates)], all_[:, : len(estimates)]
    sound = (one > -TOLERANCE) & (one < all_ + TOLERANCE) & (all_ < 1 + TOLERANCE)
    return (one, all_) if sound.all() and likeness.max() < 1 - 1e-9 else None


def choose(pairs: BssPairs, count: int) -> NDArray[np.intp]:
    """The permutation of the first `count` estimates with the best mean SIR, as in mir_eval.

    By SDR where no SIR is finite: it was not asked for, or nothing interferes.
    """
    interfered = np.isfinite(pairs.sir[:, :count]).any()
    return best_permutation((pairs.sir if interfered else pairs.sdr)[:, :count])
