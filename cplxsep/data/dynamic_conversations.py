"""Conversations made while training: example i depends on the seed and i, on nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.audio.resample import change_speed
from cplxsep.config import Config
from cplxsep.data.cache import Report, open_cache
from cplxsep.data.damage import Damage, Harm
from cplxsep.data.dynamic_noisy import clean_speech
from cplxsep.data.manifest import Utterance
from cplxsep.data.noise_source import Background, NoiseSource
from cplxsep.data.pitch import median_pitch
from cplxsep.data.plan import Planner, generator
from cplxsep.data.rooms import check_places, different_places, load_rooms
from cplxsep.data.scene import assemble
from cplxsep.data.turns import (
    Sound,
    Turn,
    Voice,
    Waveform,
    converse,
    one_alone,
    spoken,
    talk_throughout,
)

LEVEL_DB = -25.0  # of speech, before the example's gain
# An example begins up to so much later than its conversation, and ends so much sooner: the level of
# a talker is not that of a last syllable that happens to be in it.
_SPARE_SECONDS = 4.0


Read = Callable[[int, int, int, float], Sound]
"""What is heard of a recording from one sample on, so many of them, at a speed."""


@dataclass(frozen=True)
class TalkPlan:
    """What an example is made of: `samples` of turns and noise, of which it begins at `first`.

    `places`: of the talkers, numbers of responses. `snr_db`: of each under the first. In dB.
    """

    samples: int
    first: int
    turns: list[Turn]
    snr_db: list[float]
    noise: Background | None
    places: list[int] | None
    noise_snr_db: float
    gain_db: float
    harm: Harm


class Conversations:
    """Endless examples of several talkers, in turns or throughout, in noise and rooms.

    What happens how often is in the sections data, noise and conversation of the configuration.
    """

    def __init__(
        self,
        speech: Sequence[Utterance],
        noises: Sequence[Utterance],
        config: Config,
        *,
        sample_rate: int,
        seconds: float,
        seed: int = 0,
        cache: Path | None = None,
        report: Report | None = None,
    ) -> None:
        """InputError: too few speakers, nothing readable, or `cache` cannot be written."""
        self._config = config
        self.sample_rate = sample_rate
        self.samples = round(seconds * sample_rate)
        self._spare = round(_SPARE_SECONDS * sample_rate)
        self.wide = self.samples + 2 * self._spare  # the most that is made for an example
        self._seed = seed
        self.sources = sources = config.model.sources
        self.reference = config.conversation.reference
        Planner(speech, sources=sources, snr=config.data.snr)  # Fails before the long decoding.
        self.cache = open_cache(speech, sample_rate, cache, report=report)
        used = range(len(self.cache.kept))
        if noises:
            own_snr = config.noise.own_snr
            used = clean_speech(self.cache, sample_rate, own_snr, report).tolist()
        kept = [speech[self.cache.kept[index]] for index in used]
        self._used = list(used)
        self._planner = Planner(
            kept,
            sources=sources,
            snr=config.data.snr,
            similar=config.data.similar,
            pitch=lambda position: median_pitch(
                self.cache.audio(self._used[position]), sample_rate
            ),
        )
        self.noise = NoiseSource(noises, sample_rate, cache, report) if noises else None
        rooms = config.noise.rooms
        own = load_rooms(Path(rooms), sample_rate, report) if rooms else []
        if rooms:
            check_places(own, sources, rooms)
        self.rooms = [response for places in own for response in places]
        ends = np.cumsum([len(places) for places in own]).tolist()
        self._places = [
            list(range(end - len(places), end)) for end, places in zip(ends, own, strict=True)
        ]
        self._damage = Damage(config.noise, sample_rate)

    def plan(self, index: int, read: Read | None = None) -> TalkPlan:
        """How example `index` is made; speech as `read` tells of it, or from the cache."""
        rng = generator(self._seed, index)
        noise = self._config.noise
        plan = self._planner.draw(rng)
        order = rng.permutation(len(plan.utterances)).tolist()  # any may be the louder one
        first = int(rng.integers(self._spare + 1))
        samples = first + self.samples + self._spare
        voices = [
            self._voice(plan.utterances[talker], samples, read or self._read, rng)
            for talker in order
        ]
        turns = self._turns(voices, samples, first, rng)
        kind = rng.random()
        background = None
        if self.noise is not None and kind < 1 - noise.clean:
            background = self.noise.plan(samples, rng)
            if kind < noise.noise_only:
                turns = []
        places = None
        if self.rooms and rng.random() < noise.reverberant:
            places = different_places(self._places, len(order), rng)
        snr_db = [plan.snr_db[talker] for talker in order]
        levels = rng.uniform(*noise.snr), rng.uniform(*self._config.data.gain)
        harm = self._damage.draw(rng)
        return TalkPlan(samples, first, turns, snr_db, background, places, *levels, harm)

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and references (N, S), float32; those who say nothing are silent."""
        plan = self.plan(index)
        talk = spoken(plan.turns, self.sources, plan.samples) * np.float32(from_db(LEVEL_DB))
        scene = assemble(
            talk,
            snr_db=plan.snr_db,
            sample_rate=self.sample_rate,
            responses=None if plan.places is None else [self.rooms[at] for at in plan.places],
            reference=self.reference,
            noise=self.noise.read(plan.noise) if self.noise and plan.noise else None,
            noise_snr_db=plan.noise_snr_db,
        ).cut(plan.first, plan.first + self.samples)
        scene = scene.scaled(from_db(plan.gain_db))
        return self._damage(scene.mixture, scene.references, plan.harm)

    def _turns(
        self, voices: list[Voice], samples: int, first: int, rng: np.random.Generator
    ) -> list[Turn]:
        """What the talkers say in so many samples; the example is from `first` on."""
        config = self._config.conversation
        if rng.random() >= config.share:
            return talk_throughout(voices, samples)
        turns = converse(voices, samples, self.sample_rate, config, rng)
        if rng.random() < config.alone:
            turns = one_alone(turns, first, first + self.samples, rng)
        return turns

    def _voice(self, chosen: int, samples: int, read: Read, rng: np.random.Generator) -> Voice:
        """The talker of a recording, who begins in it; at a drawn speed."""
        data = self._config.data
        speed = rng.uniform(*data.speed) if data.speed != (1.0, 1.0) else 1.0
        others = [other for other in self._planner.recordings_of(chosen) if other != chosen]
        order = [chosen, *rng.permutation(others).tolist()]
        longest = int(np.ceil(samples * speed))
        place = rng.random()

        def said(position: int) -> Sound:
            index = self._used[position]
            length = self.cache.length(index)
            begin = int(place * max(length - longest, 0))  # no more than can be used
            return read(index, begin, min(longest, length - begin), speed)

        return Voice(order, said, self.sample_rate, rng.random())

    def _read(self, index: int, begin: int, samples: int, speed: float) -> Waveform:
        piece = self.cache.audio(index)[begin : begin + samples].astype(np.float32)
        piece /= np.float32(32768)
        return Waveform(piece if speed == 1.0 else change_speed(piece, speed))
