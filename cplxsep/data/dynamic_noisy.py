"""Noisy speech made while training: example i depends on the seed and i, on nothing else."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cplxsep.audio.level import FRAME_SECONDS, from_db
from cplxsep.config import NoiseConfig
from cplxsep.data.cache import Report, SpeechCache, open_cache
from cplxsep.data.crop import crop
from cplxsep.data.damage import Damage
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import mix
from cplxsep.data.noise_source import NoiseSource
from cplxsep.data.plan import Range, generator
from cplxsep.data.rooms import load_rooms, reverberate
from cplxsep.errors import InputError


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
        self._damage, self._snr, self._speed = damage, snr, speed
        self._gain_db, self._seed = gain_db, seed
        self._spoil = Damage(damage, sample_rate)
        rooms = load_rooms(Path(damage.rooms), sample_rate) if damage.rooms else []
        self._rooms = [response for places in rooms for response in places]
        self._speech = open_cache(speech, sample_rate, cache, report=report)
        self._noise = NoiseSource(noises, sample_rate, cache, report)
        self._clean = clean_speech(self._speech, sample_rate, damage.own_snr, report)
        lengths = np.diff(self._speech.starts)[self._clean]
        self._speech_odds = lengths / lengths.sum()

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and reference (1, S), float32."""
        rng = generator(self._seed, index)
        damage, kind = self._damage, rng.random()
        with_speech = kind >= damage.noise_only
        with_noise = kind < 1 - damage.clean
        speech, reference = self._talk(rng)
        noise = self._noise.draw(self.samples, rng) if with_noise else np.zeros_like(speech)
        if with_speech and with_noise:
            mixed = mix(
                [speech, noise],
                snr_db=[0.0, rng.uniform(*self._snr)],
                sample_rate=self.sample_rate,
                level="active",
                mode="max",
                peak=None,
            )
            mixture = mixed.mixture
        elif with_speech:
            mixture = speech
        else:
            mixture, reference = noise, np.zeros_like(reference)
        pair = np.stack([mixture, reference]) * np.float32(from_db(rng.uniform(*self._gain_db)))
        return self._spoil(pair[0], pair[1:], rng)

    def _talk(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Speech (S,) as it arrives, and as it should be heard."""
        utterance = int(rng.choice(self._clean, p=self._speech_odds))
        speed = rng.uniform(*self._speed) if self._speed else 1.0
        piece = crop(self._speech, utterance, self.samples, speed, rng)
        speech = np.zeros(self.samples, np.float32)
        start = int(rng.integers(self.samples - len(piece) + 1))
        speech[start : start + len(piece)] = piece
        if self._rooms and rng.random() < self._damage.reverberant:
            room = self._rooms[rng.integers(len(self._rooms))]
            return reverberate(speech, room, self.sample_rate)
        return speech, speech


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
    frame = round(FRAME_SECONDS * sample_rate)
    whole = len(audio) // frame * frame
    if not whole:
        return 0.0
    powers = np.square(audio[:whole].reshape(-1, frame), dtype=np.float64).mean(axis=1)
    audible = powers[powers > 1e-8 * powers.max()]
    low, high = np.percentile(audible, [10, 95]) if audible.size else (1.0, 1.0)
    return float(10 * np.log10(high / low))
