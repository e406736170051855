"""PESQ and STOI, from the packages of the `[perceptual]` extra."""

import importlib
import warnings
from collections.abc import Sequence

from cplxsep.errors import UsageError
from cplxsep.metrics.coherence import Array
from cplxsep.metrics.names import PACKAGES

PESQ_MODES = {"pesq-nb": "nb", "pesq-wb": "wb"}
PESQ_RATES = {"nb": (8000, 16000), "wb": (16000,)}


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


def measure(metric: str, reference: Array, estimate: Array, sample_rate: int) -> float:
    """A metric of PACKAGES for an estimate (S,). UndefinedError where it has no value.

    `pesq-nb` and `pesq-wb` are the narrow and the wide band; `pesq` is the narrow band at 8000 Hz
    and the wide band at 16000 Hz.
    """
    if metric == "stoi":
        return stoi(reference, estimate, sample_rate)
    return pesq(reference, estimate, sample_rate, PESQ_MODES.get(metric))


def pesq(reference: Array, estimate: Array, sample_rate: int, mode: str | None = None) -> float:
    """PESQ of an estimate (S,), as MOS-LQO: `nb` narrow band (P.862.1) or `wb` wide (P.862.2).

    Without `mode` the one of the rate. UndefinedError for rates other than 8000 and 16000 Hz, for
    the wide band at 8000 Hz, and where PESQ finds no speech.
    """
    import pesq as library

    mode = mode or ("wb" if sample_rate == 16000 else "nb")
    if sample_rate not in PESQ_RATES[mode]:
        rates = " and ".join(map(str, PESQ_RATES[mode]))
        kind = "wide-band PESQ" if mode == "wb" else "PESQ"
        raise UndefinedError(f"{kind} is defined at {rates} Hz, not {sample_rate} Hz")
    try:
        return float(library.pesq(sample_rate, reference, estimate, mode))
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
