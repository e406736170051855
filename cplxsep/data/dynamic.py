"""Training mixtures made while training: example i depends on the seed and i, on nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.data.cache import Report, open_cache
from cplxsep.data.crop import Crop, Loudness, draw_crop, read_crop
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import add, mix
from cplxsep.data.pitch import median_pitch
from cplxsep.data.plan import Planner, Range, generator

_PAUSE = 0.1, 0.7  # length, as a share of the mixture


@dataclass(frozen=True)
class DryPlan:
    """What a mixture is made of: crops that lie at `starts` in it, and their levels in dB.

    `order`: of the crops as sources. `pause`: which of the crops is silent from where to where.
    """

    crops: list[Crop]
    starts: list[int]
    snr_db: tuple[float, ...]
    gain_db: float
    order: list[int]
    pause: tuple[int, int, int] | None


class DynamicMixtures:
    """Endless mixtures of `sources` different talkers, each of `seconds`.

    `snr` in dB is how much louder one talker is than the others, `speed` the range of the change
    of speed (None: none), `gain_db` the range of the gain of the whole example. In a share
    `pauses` of the mixtures one talker is silent for a tenth to seven tenths of the length, or up
    to the end (TEMPORAL.md section 5). In a share `similar` the talkers are alike in pitch.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        *,
        sample_rate: int,
        sources: int,
        seconds: float,
        snr: Range = (0.0, 5.0),
        speed: Range | None = (0.9, 1.1),
        gain_db: Range = (-25.0, 0.0),
        pauses: float = 0.0,
        similar: float = 0.0,
        seed: int = 0,
        cache: Path | None = None,
        report: Report | None = None,
    ) -> None:
        """Decode all utterances at `sample_rate`, or open the folder `cache` where that was done.

        Bad utterances are told to `report` and left out. InputError: too few speakers, nothing
        readable, or `cache` cannot be written.
        """
        Planner(utterances, sources=sources, snr=snr)  # Fails before the long decoding.
        self.cache = open_cache(utterances, sample_rate, cache, report=report)
        kept = [utterances[position] for position in self.cache.kept]
        self._planner = Planner(
            kept,
            sources=sources,
            snr=snr,
            similar=similar,
            pitch=lambda position: median_pitch(self.cache.audio(position), sample_rate),
        )
        self.sample_rate = sample_rate
        self.samples = round(seconds * sample_rate)
        self.sources = sources
        self._speed = speed
        self._gain_db = gain_db
        self._pauses = pauses
        self._seed = seed

    def plan(self, index: int, sound: Loudness | None = None) -> DryPlan:
        """How example `index` is made; by the loudness that is told, or looked for here."""
        rng = generator(self._seed, index)
        plan = self._planner.draw(rng)
        crops, starts = [], []
        for utterance, place in zip(plan.utterances, plan.places, strict=True):
            speed = rng.uniform(*self._speed) if self._speed else 1.0
            crop = draw_crop(sound or self.cache, utterance, self.samples, speed, rng)
            crops.append(crop)
            starts.append(int(place * (self.samples - crop.played + 1)))
        gain_db = rng.uniform(*self._gain_db)
        order = rng.permutation(len(crops)).tolist()
        # Drawn last: without pauses, all else is as it is with them.
        pause = self._pause(rng) if self._pauses else None
        return DryPlan(crops, starts, plan.snr_db, gain_db, order, pause)

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and sources (N, S), float32; the mixture is exactly the sources' sum."""
        plan = self.plan(index)
        pieces = [read_crop(self.cache, crop) for crop in plan.crops]
        # All levels follow the first source's.
        pieces[0] = pieces[0] * np.float32(from_db(plan.gain_db))
        mixed = mix(
            pieces,
            snr_db=plan.snr_db,
            sample_rate=self.sample_rate,
            level="rms",
            mode="max",
            peak=None,
            offsets=plan.starts,
            length=self.samples,
        )
        if plan.pause:
            which, first, last = plan.pause
            mixed.sources[which, first:last] = 0.0
        # Any source may be the louder one; added again, for the order changes the last bit.
        sources = mixed.sources[plan.order]
        return add(sources), sources

    def _pause(self, rng: np.random.Generator) -> tuple[int, int, int] | None:
        """Perhaps one of the sources, and from where to where it is silent."""
        chance, which, begin, length = rng.random(4)
        if chance >= self._pauses:
            return None
        first = begin * self.samples
        last = first + (_PAUSE[0] + (_PAUSE[1] - _PAUSE[0]) * length) * self.samples
        return int(which * self.sources), int(first), int(last)
