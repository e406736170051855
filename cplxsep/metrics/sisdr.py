"""Scale-invariant signal-to-distortion ratio (Le Roux et al., "SDR: half-baked or well done?")."""

import numpy as np
from numpy.typing import ArrayLike

from cplxsep.metrics.coherence import Array, signals, silent, to_db, unit_level


def _centred(values: Array) -> Array:
    """Signals (..., S) without their mean, at norm 1; NaN where nothing is left."""
    centred = unit_level(values - values.mean(axis=-1, keepdims=True))
    centred[silent(values)] = np.nan
    return centred


def si_sdr(reference: ArrayLike, estimate: ArrayLike) -> Array:
    """SI-SDR in dB of estimates (..., S) against references (..., S); result (...), float64.

    Both are made zero-mean, then the reference is scaled to fit the estimate best, so neither
    level nor offset nor polarity counts. Limited to plus or minus 100 dB. NaN where the reference
    or the estimate is silent (constant), for there the ratio is not defined.
    """
    r = _centred(np.array(reference, dtype=np.float64, ndmin=1))
    e = _centred(np.array(estimate, dtype=np.float64, ndmin=1))
    return to_db(np.einsum("...s,...s->...", r, e) ** 2)


def si_sdr_matrix(references: ArrayLike, estimates: ArrayLike) -> Array:
    """SI-SDR in dB of each of M estimates (M, S) against each of N references (N, S): (N, M)."""
    return to_db((_centred(signals(references)) @ _centred(signals(estimates)).T) ** 2)
