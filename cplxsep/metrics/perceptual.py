"""PESQ and STOI, from the packages of the `[perceptual]` extra."""

import importlib
import warnings
from collections.abc import Sequence

from cplxsep.errors import UsageError
from cplxsep.metrics.coherence import Array

PACKAGES = {"pesq": "pesq", "stoi": "pystoi"}
PESQ_MODES = {8000: "nb", 16000: "wb"}


class UndefinedError(Exception):
    """The metric has no value for these signals; the message says why."""


def require(metrics: Sequence[str]) -> None:
    """UsageError naming the extra if a package that one of the metrics needs is not installed."""
    for metric in metrics:
        if metric in PACKAGES:
            try:
                importlib.import_module(PACKAGES[metric])
            except ImportError as error:
                raise UsageError(
                    f"--metrics {metric} needs the package {PACKAGES[metric]}: "
                    "install the extra with pip install 'cplxsep[perceptual]'"
                ) from error


def pesq(reference: Array, estimate: Array, sample_rate: int) -> float:
    """PESQ of an estimate (S,): narrow band (P.862) at 8000 Hz, wide band (P.862.2) at 16000 Hz.

    UndefinedError for other rates and where PESQ finds no speech.
    """
    import pesq as library

    if sample_rate not in PESQ_MODES:
        raise UndefinedError(f"PESQ is defined at 8000 and 16000 Hz, not {sample_rate} Hz")
    try:
        return float(library.pesq(sample_rate, reference, estimate, PESQ_MODES[sample_rate]))
    except library.PesqError as error:
        detail = error.args[0] if error.args else ""
        text = detail.decode() if isinstance(detail, bytes) else str(detail)
        raise UndefinedError(f"PESQ: {text or type(error).__name__}") from error


def stoi(reference: Array, estimate: Array, sample_rate: int) -> float:
    """STOI, 0 to 1, of an estimate (S,), any rate. UndefinedError where there is no speech."""
    import pystoi as library

    with warnings.catch_warnings():
        # Too few frames are only a warning there, with a value that stands for nothing.
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return float(library.stoi(reference, estimate, sample_rate))
        except (RuntimeWarning, ValueError) as error:
            raise UndefinedError("STOI: less than 0.4 seconds of speech") from error
