"""Pieces of noise of any length, drawn anew in each training example."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cplxsep.data.cache import Report, open_cache
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import mix
from cplxsep.data.noise import active_runs, odds, stretch

_FADE_SECONDS = 0.05
_TWO_NOISES = 0.3


class NoiseSource:
    """Recordings of noise, decoded once; digital silence in them is skipped."""

    def __init__(
        self,
        recordings: Sequence[Utterance],
        sample_rate: int,
        cache: Path | None,
        report: Report | None,
    ) -> None:
        """InputError: nothing readable, or `cache` cannot be written."""
        self.sample_rate = sample_rate
        self._noise = open_cache(recordings, sample_rate, cache, report=report)
        self._runs = [
            active_runs(_float(self._noise.audio(index)), sample_rate)
            for index in range(len(self._noise.kept))
        ]
        sounding = [sum(end - start for start, end in runs) for runs in self._runs]
        self._odds = odds([samples / sample_rate for samples in sounding])

    def draw(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        """One noise (samples,), or two with a level difference of up to 10 dB; float32."""
        if rng.random() >= _TWO_NOISES:
            return self._one(samples, rng)
        pair = [self._one(samples, rng), self._one(samples, rng)]
        return mix(
            pair,
            snr_db=[0.0, rng.uniform(0.0, 10.0)],
            sample_rate=self.sample_rate,
            peak=None,
        ).mixture

    def _one(self, samples: int, rng: np.random.Generator) -> np.ndarray:
        index = int(rng.choice(len(self._runs), p=self._odds))
        audio = self._noise.audio(index)
        sounding = np.concatenate([audio[start:end] for start, end in self._runs[index]])
        start = int(rng.integers(max(len(sounding) - samples, 0) + 1))
        piece = _float(sounding[start : start + samples])
        looped = stretch(piece, samples, round(_FADE_SECONDS * self.sample_rate))
        return np.roll(looped[:samples], int(rng.integers(samples)))


def _float(audio: np.ndarray) -> np.ndarray:
    return audio.astype(np.float32) / np.float32(32768)
