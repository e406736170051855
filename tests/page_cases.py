"""Made-up results for pages: names that are markup, a silent estimate, a file that is broken."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cplxsep.errors import InputError
from cplxsep.metrics import comparison, evaluation

RATE = 8000
NAMES = ["a", "b & <b onerror='x'>", "<script>alert(1)</script>", "quiet \udcff", "broken"]


class Synthetic:
    """Mixtures of two talkers of noise, 1.5 s."""

    has_mixture = True

    def __init__(self, noise: float = 0.2, names: Sequence[str] = NAMES) -> None:
        self.names = list(names)
        self._noise = noise

    def load(self, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        if name == "broken":
            raise InputError("broken.wav is empty")
        rng = np.random.default_rng(self.names.index(name))
        references = 0.1 * rng.standard_normal((2, 12000))
        noise = self._noise * (1 + self.names.index(name)) * references[::-1]
        estimates = (references + noise)[::-1]
        if name.startswith("quiet"):
            estimates[0] = 0
        return references.sum(axis=0), references, estimates, RATE

    def metadata(self, name: str) -> dict[str, str]:
        return {"condition": "<i>far</i>" if name == "a" else "near"}


def evaluated(
    cases: Synthetic, names: Sequence[str] | None = None, metrics: Sequence[str] = ("si-sdr",)
) -> dict[str, Any]:
    """What `cplxsep eval --json` says of the cases."""
    scores = evaluation.run(cases, names or cases.names, metrics)
    return {"inputs": {"est": "<est>"}, **evaluation.summed_up(scores)}


def compared(a: Synthetic, b: Synthetic, metrics: Sequence[str] = ("si-sdr",)) -> dict[str, Any]:
    """What `cplxsep eval --compare --json` says of the two."""
    scores = [evaluation.run(cases, cases.names, metrics) for cases in (a, b)]
    sides = {
        name: {"system": f"<{name}>", **evaluation.summed_up(own)}
        for name, own in zip("ab", scores, strict=True)
    }
    return {"inputs": {}, "comparison": comparison.compare(*scores), **sides}
