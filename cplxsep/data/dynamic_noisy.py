"""Noisy speech made while training: example i depends on the seed and i, on nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cplxsep.audio.level import frame_of, from_db
from cplxsep.config import NoiseConfig
from cplxsep.data.cache import Report, SpeechCache, open_cache
from cplxsep.data.crop import Crop, Loudness, draw_crop, read_crop
from cplxsep.data.damage import Damage, Harm
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import mix
from cplxsep.data.noise_source import Background, NoiseSource
from cplxsep.data.plan import Odds, Range, generator
from cplxsep.data.rooms import load_rooms, reverberate
from cplxsep.errors import InputError


@dataclass(frozen=True)
class NoisyPlan:
    """What noisy speech is made of: a crop that lies at `start`, maybe in a room, and noise.

    Where it is not `audible` there is noise alone. Levels are in dB.
    """

    crop: Crop
    start: int
    room: int | None
    noise: Background | None
    audible: bool
    snr_db: float
    gain_db: float
    harm: Harm


class NoisySpeech:
    """Endless noisy speech, one source, each of `seconds`.

    The reference is what the listener should hear: the speech, in a room its direct and early
    part, with the band that the channel left, unclipped; silence where there is only noise.

    Args:
        noises: recordings of noise; `speech` recordings of speech.
        damage: how often there is no speech, no noise, a room, a narrow band, or clipping.
        snr: speech over noise in dB. speed: range of the change of speed, None for none.
        gain_db: range of the gain of the whole example.
        cache: folder for decoded audio.
    """

    def __init__(
        self,
        speech: Sequence[Utterance],
        noises: Sequence[Utterance],
        *,
        damage: NoiseConfig,
        sample_rate: int,
        seconds: float,
        snr: Range,
        speed: Range | None = None,
        gain_db: Range = (0.0, 0.0),
        seed: int = 0,
        cache: Path | None = None,
        report: Report | None = None,
    ) -> None:
        """InputError: nothing readable, no speech clean enough, or `cache` cannot be written."""
        self.sample_rate = sample_rate
        self.samples = round(seconds * sample_rate)
        self.sources = 1
        self._damage, self._snr, self._speed = damage, snr, speed
        self._gain_db, self._seed = gain_db, seed
        self._spoil = Damage(damage, sample_rate)
        rooms = load_rooms(Path(damage.rooms), sample_rate, report) if damage.rooms else []
        self.rooms = [response for places in rooms for response in places]
        self.cache = open_cache(speech, sample_rate, cache, report=report)
        self.noise = NoiseSource(noises, sample_rate, cache, report)
        self._clean = clean_speech(self.cache, sample_rate, damage.own_snr, report)
        self._odds = Odds(np.diff(self.cache.starts)[self._clean])

    def plan(self, index: int, sound: Loudness | None = None) -> NoisyPlan:
        """How example `index` is made; by the loudness that is told, or looked for here."""
        rng = generator(self._seed, index)
        damage, kind = self._damage, rng.random()
        audible = kind >= damage.noise_only
        with_noise = kind < 1 - damage.clean
        utterance = int(self._clean[self._odds.draw(rng)])
        speed = rng.uniform(*self._speed) if self._speed else 1.0
        crop = draw_crop(sound or self.cache, utterance, self.samples, speed, rng)
        start = int(rng.integers(self.samples - crop.played + 1))
        room = None
        if self.rooms and rng.random() < damage.reverberant:
            room = int(rng.integers(len(self.rooms)))
        noise = self.noise.plan(self.samples, rng) if with_noise else None
        snr_db = rng.uniform(*self._snr) if audible and with_noise else 0.0
        gain_db = rng.uniform(*self._gain_db)
        harm = self._spoil.draw(rng)
        return NoisyPlan(crop, start, room, noise, audible, snr_db, gain_db, harm)

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and reference (1, S), float32."""
        plan = self.plan(index)
        speech, reference = self._talk(plan)
        noise = self.noise.read(plan.noise) if plan.noise else np.zeros_like(speech)
        if plan.audible and plan.noise:
            mixed = mix(
                [speech, noise],
                snr_db=[0.0, plan.snr_db],
                sample_rate=self.sample_rate,
                level="active",
                mode="max",
                peak=None,
            )
            mixture = mixed.mixture
        elif plan.audible:
            mixture = speech
        else:
            mixture, reference = noise, np.zeros_like(reference)
        pair = np.stack([mixture, reference]) * np.float32(from_db(plan.gain_db))
        return self._spoil(pair[0], pair[1:], plan.harm)

    def _talk(self, plan: NoisyPlan) -> tuple[np.ndarray, np.ndarray]:
        """Speech (S,) as it arrives, and as it should be heard."""
        speech = np.zeros(self.samples, np.float32)
        speech[plan.start : plan.start + plan.crop.played] = read_crop(self.cache, plan.crop)
        if plan.room is None:
            return speech, speech
        return reverberate(speech, self.rooms[plan.room], self.sample_rate)


def clean_speech(
    cache: SpeechCache, sample_rate: int, own_snr_db: float, report: Report | None
) -> np.ndarray:
    """Positions of the recordings that stand so far out of their background; others are told.

    InputError: none.
    """
    count = len(cache.kept)
    clean = [
        index
        for index in range(count)
        if not own_snr_db or own_snr(cache.audio(index), sample_rate) >= own_snr_db
    ]
    if not clean:
        raise InputError(f"no speech has an SNR of its own of {own_snr_db} dB (noise.own_snr)")
    if report and len(clean) < count:
        report(
            InputError(
                f"{count - len(clean)} of {count} recordings of speech, which stand less than "
                f"{own_snr_db:g} dB above their own background (noise.own_snr)"
            )
        )
    return np.array(clean)


def own_snr(audio: np.ndarray, sample_rate: int) -> float:
    """How far speech (S,) stands out of its own background, in dB: loud over quiet frames.

    Frames of 32 ms, 95th over 10th percentile of their powers; digital silence is no background.
    """
    frame = frame_of(sample_rate)
    whole = len(audio) // frame * frame
    if not whole:
        return 0.0
    powers = np.square(audio[:whole].reshape(-1, frame), dtype=np.float64).mean(axis=1)
    audible = powers[powers > 1e-8 * powers.max()]
    low, high = np.percentile(audible, [10, 95]) if audible.size else (1.0, 1.0)
    return float(10 * np.log10(high / low))
