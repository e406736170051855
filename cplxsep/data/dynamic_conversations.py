"""Conversations made while training: example i depends on the seed and i, on nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.audio.resample import change_speed
from cplxsep.config import Config
from cplxsep.data.cache import Report, open_cache
from cplxsep.data.damage import Damage
from cplxsep.data.dynamic_noisy import clean_speech
from cplxsep.data.manifest import Utterance
from cplxsep.data.noise_source import NoiseSource
from cplxsep.data.pitch import median_pitch
from cplxsep.data.plan import Planner, generator
from cplxsep.data.rooms import check_places, different_places, load_rooms
from cplxsep.data.scene import Scene, assemble
from cplxsep.data.turns import Voice, converse, one_alone, talk_throughout

_LEVEL_DB = -25.0  # of speech, before the example's gain
# An example begins up to so much later than its conversation, and ends so much sooner: the level of
# a talker is not that of a last syllable that happens to be in it.
_SPARE_SECONDS = 4.0


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
        self._seed = seed
        sources = config.model.sources
        Planner(speech, sources=sources, snr=config.data.snr)  # Fails before the long decoding.
        self._speech = open_cache(speech, sample_rate, cache, report=report)
        used = range(len(self._speech.kept))
        if noises:
            own_snr = config.noise.own_snr
            used = clean_speech(self._speech, sample_rate, own_snr, report).tolist()
        kept = [speech[self._speech.kept[index]] for index in used]
        self._used = list(used)
        self._planner = Planner(
            kept,
            sources=sources,
            snr=config.data.snr,
            similar=config.data.similar,
            pitch=lambda position: median_pitch(
                self._speech.audio(self._used[position]), sample_rate
            ),
        )
        self._noise = NoiseSource(noises, sample_rate, cache, report) if noises else None
        rooms = config.noise.rooms
        self._rooms = load_rooms(Path(rooms), sample_rate) if rooms else []
        if rooms:
            check_places(self._rooms, sources, rooms)
        self._damage = Damage(config.noise, sample_rate)

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and references (N, S), float32; those who say nothing are silent."""
        rng = generator(self._seed, index)
        scene = self._scene(rng)
        scene = scene.scaled(from_db(rng.uniform(*self._config.data.gain)))
        return self._damage(scene.mixture, scene.references, rng)

    def _scene(self, rng: np.random.Generator) -> Scene:
        noise = self._config.noise
        plan = self._planner.draw(rng)
        order = rng.permutation(len(plan.utterances))  # any of them may be the louder one
        spare = round(_SPARE_SECONDS * self.sample_rate)
        first = int(rng.integers(spare + 1))
        samples = first + self.samples + spare
        voices = [self._voice(plan.utterances[talker], samples, rng) for talker in order]
        talk = self._talk(voices, samples, first, rng)
        kind = rng.random()
        background = None
        if self._noise is not None and kind < 1 - noise.clean:
            background = self._noise.draw(samples, rng)
            if kind < noise.noise_only:
                talk = np.zeros_like(talk)
        responses = None
        if self._rooms and rng.random() < noise.reverberant:
            responses = different_places(self._rooms, len(talk), rng)
        return assemble(
            talk,
            snr_db=[plan.snr_db[talker] for talker in order],
            sample_rate=self.sample_rate,
            responses=responses,
            reference=self._config.conversation.reference,
            noise=background,
            noise_snr_db=rng.uniform(*noise.snr),
        ).cut(first, first + self.samples)

    def _talk(
        self, voices: list[Voice], samples: int, first: int, rng: np.random.Generator
    ) -> np.ndarray:
        """What the talkers say (N, samples), at a usual level; the example is from `first` on."""
        config = self._config.conversation
        if rng.random() < config.share:
            talk, turns = converse(voices, samples, self.sample_rate, config, rng)
            if rng.random() < config.alone:
                one_alone(talk, turns, first, first + self.samples, rng)
        else:
            talk = talk_throughout(voices, samples)
        return talk * np.float32(from_db(_LEVEL_DB))

    def _voice(self, chosen: int, samples: int, rng: np.random.Generator) -> Voice:
        """The talker of a recording, who begins in it; at a drawn speed."""
        data = self._config.data
        speed = rng.uniform(*data.speed) if data.speed != (1.0, 1.0) else 1.0
        others = [other for other in self._planner.recordings_of(chosen) if other != chosen]
        order = [chosen, *rng.permutation(others).tolist()]
        longest = int(np.ceil(samples * speed))
        place = rng.random()

        def read(position: int) -> np.ndarray:
            audio = self._speech.audio(self._used[position])
            begin = int(place * max(len(audio) - longest, 0))  # no more than can be used
            piece = audio[begin : begin + longest].astype(np.float32) / np.float32(32768)
            return piece if speed == 1.0 else change_speed(piece, speed)

        return Voice(order, read, self.sample_rate, rng.random())
