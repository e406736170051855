"""Pieces of noise of any length, drawn anew in each training example."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.data.cache import Report, open_cache
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import mix
from cplxsep.data.noise import active_runs, odds, stretch
from cplxsep.data.plan import Odds

_FADE_SECONDS = 0.05
_TWO_NOISES = 0.3


@dataclass(frozen=True)
class Stretch:
    """What sounds in recording `index` from `start` on, turned round by `turn` samples."""

    index: int
    start: int
    turn: int


@dataclass(frozen=True)
class Background:
    """`samples` of one noise, or of two, of which the second is `snr_db` softer."""

    samples: int
    parts: list[Stretch]
    snr_db: float = 0.0


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
        self.lengths = [sum(end - start for start, end in runs) for runs in self._runs]
        self._odds = Odds(odds([samples / sample_rate for samples in self.lengths]))

    @property
    def fade(self) -> int:
        """Samples over which the ends of a short noise are joined."""
        return round(_FADE_SECONDS * self.sample_rate)

    def plan(self, samples: int, rng: np.random.Generator) -> Background:
        """One noise, or two with a level difference of up to 10 dB."""
        if rng.random() >= _TWO_NOISES:
            return Background(samples, [self._one(samples, rng)])
        pair = [self._one(samples, rng), self._one(samples, rng)]
        return Background(samples, pair, rng.uniform(0.0, 10.0))

    def read(self, plan: Background) -> np.ndarray:
        """The noise of a plan, (samples,) float32."""
        noises = [self._read(part, plan.samples) for part in plan.parts]
        if len(noises) == 1:
            return noises[0]
        levels = [0.0, plan.snr_db]
        return mix(noises, snr_db=levels, sample_rate=self.sample_rate, peak=None).mixture

    def sounding(self, index: int) -> np.ndarray:
        """Recording `index` of those kept without its digital silence, int16 (S,)."""
        audio = self._noise.audio(index)
        return np.concatenate([audio[start:end] for start, end in self._runs[index]])

    def _one(self, samples: int, rng: np.random.Generator) -> Stretch:
        index = self._odds.draw(rng)
        start = int(rng.integers(max(self.lengths[index] - samples, 0) + 1))
        return Stretch(index, start, int(rng.integers(samples)))

    def _read(self, part: Stretch, samples: int) -> np.ndarray:
        piece = _float(self.sounding(part.index)[part.start : part.start + samples])
        return np.roll(stretch(piece, samples, self.fade)[:samples], part.turn)


def _float(audio: np.ndarray) -> np.ndarray:
    return audio.astype(np.float32) / np.float32(32768)
