"""Fixtures for the engine's tests."""

import numpy as np
import pytest
from standins import RATE, Stand, halves

from cplxsep.engine.separator import Separator


@pytest.fixture
def make_separator():
    """A Separator around a function (B, S) -> (B, N, S), on the CPU."""

    def make(function=halves, sources: int = 2, **options) -> Separator:
        return Separator(Stand(function, sources), **{"device": "cpu", **options})

    return make


@pytest.fixture
def talk():
    """Speech-like noise (S,) of given seconds, rate and seed: syllables and pauses."""

    def make(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        samples = round(seconds * rate)
        steps = rng.uniform(-0.3, 1, int(seconds * 5) + 2).clip(0)
        envelope = np.interp(np.arange(samples) * 5 / rate, np.arange(steps.size), steps)
        return (0.1 * envelope * rng.standard_normal(samples)).astype(np.float32)

    return make
