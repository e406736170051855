"""Whether a model folder is intact and its network of use."""

from pathlib import Path

import numpy as np

from cplxsep.engine.separator import Separator
from cplxsep.errors import CplxsepError, ModelError
from cplxsep.model_folder.contents import METRICS, WEIGHTS, checksum, metrics


def check(folder: Path) -> str | None:
    """Load the model strictly, compare its checksum, separate a second of noise at each rate.

    On the CPU, as every machine has one.

    Returns what could not be checked, or None.

    Raises:
        ModelError: a file is missing or corrupt, or the output is of no use.
    """
    separator = Separator.load(folder, device="cpu")
    recorded = metrics(folder).get("sha256")
    if recorded is not None and recorded != checksum(folder / WEIGHTS):
        raise ModelError(f"model {folder.name}: {WEIGHTS} is not the file {METRICS} was made with")
    for rate in separator.rates:
        noise = np.random.default_rng(0).standard_normal(rate).astype(np.float32)
        try:
            sources = separator(noise, rate)
        except CplxsepError as error:
            raise ModelError(f"model {folder.name} at {rate} Hz: {error}") from None
        if not sources.any():
            raise ModelError(f"model {folder.name}: its output is silent at {rate} Hz")
    return None if recorded else f"no sha256 in {METRICS}"
