"""Noisy speech made while training: example i depends on the seed and i, on nothing else."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.config import NoiseConfig, user_path
from cplxsep.data.cache import open_cache
from cplxsep.data.crop import crop
from cplxsep.data.manifest import Utterance
from cplxsep.data.mixing import mix
from cplxsep.data.noise import active_runs, stretch
from cplxsep.data.plan import Range, generator
from cplxsep.data.rooms import load_rooms, reverberate
from cplxsep.errors import InputError

Report = Callable[[InputError], None]
_LONGEST_WEIGHT = 20.0  # seconds: a long ambience is not heard more often than this
_FADE_SECONDS = 0.05
_FRAME_SECONDS = 0.032
_TWO_NOISES = 0.3
_TELEPHONE: Range = (300.0, 3400.0)  # Hz
_CODECS = (3400.0, 4000.0, 5500.0, 7000.0)  # Hz, where coders cut
_CLIP: Range = (0.25, 0.8)  # of the mixture's peak


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
        self._rooms = load_rooms(user_path(damage.rooms), sample_rate) if damage.rooms else []
        self._speech = open_cache(speech, sample_rate, cache, report=report)
        self._noise = open_cache(noises, sample_rate, cache, report=report)
        count = len(self._speech.kept)
        clean = [
            index
            for index in range(count)
            if own_snr(self._speech.audio(index), sample_rate) >= damage.own_snr
        ]
        if not clean:
            raise InputError(f"no speech has an SNR of its own of {damage.own_snr} dB")
        self._clean = np.array(clean)
        lengths = np.diff(self._speech.starts)[self._clean]
        self._speech_odds = lengths / lengths.sum()
        self._runs = [
            active_runs(_float(self._noise.audio(index)), sample_rate)
            for index in range(len(self._noise.kept))
        ]
        sounding = [sum(end - start for start, end in runs) for runs in self._runs]
        weights = np.minimum(sounding, _LONGEST_WEIGHT * sample_rate)
        self._noise_odds = weights / weights.sum()

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and reference (1, S), float32."""
        rng = generator(self._seed, index)
        damage, kind = self._damage, rng.random()
        with_speech = kind >= damage.noise_only
        with_noise = kind < 1 - damage.clean
        speech, reference = self._talk(rng)
        noise = self._noises(rng) if with_noise else np.zeros_like(speech)
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
        if rng.random() < damage.band_limited:
            pair = _narrow(pair, self.sample_rate, rng)
        mixture, reference = pair
        if rng.random() < damage.clipped:
            limit = np.float32(rng.uniform(*_CLIP)) * np.abs(mixture).max()
            mixture = np.clip(mixture, -limit, limit)
        return mixture, reference[None]

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

    def _noises(self, rng: np.random.Generator) -> np.ndarray:
        """One noise (S,), or two with a level difference of up to 10 dB."""
        if rng.random() >= _TWO_NOISES:
            return self._one_noise(rng)
        pair = [self._one_noise(rng), self._one_noise(rng)]
        return mix(
            pair,
            snr_db=[0.0, rng.uniform(0.0, 10.0)],
            sample_rate=self.sample_rate,
            peak=None,
        ).mixture

    def _one_noise(self, rng: np.random.Generator) -> np.ndarray:
        index = int(rng.choice(len(self._runs), p=self._noise_odds))
        audio = self._noise.audio(index)
        sounding = np.concatenate([audio[start:end] for start, end in self._runs[index]])
        start = int(rng.integers(max(len(sounding) - self.samples, 0) + 1))
        piece = _float(sounding[start : start + self.samples])
        looped = stretch(piece, self.samples, round(_FADE_SECONDS * self.sample_rate))
        return np.roll(looped[: self.samples], int(rng.integers(self.samples)))


def own_snr(audio: np.ndarray, sample_rate: int) -> float:
    """How far speech (S,) stands out of its own background, in dB: loud over quiet frames.

    Frames of 32 ms, 95th over 10th percentile of their powers; digital silence is no background.
    """
    frame = round(_FRAME_SECONDS * sample_rate)
    whole = len(audio) // frame * frame
    if not whole:
        return 0.0
    powers = np.square(audio[:whole].reshape(-1, frame), dtype=np.float64).mean(axis=1)
    audible = powers[powers > 1e-8 * powers.max()]
    low, high = np.percentile(audible, [10, 95]) if audible.size else (1.0, 1.0)
    return float(10 * np.log10(high / low))


def _float(audio: np.ndarray) -> np.ndarray:
    return audio.astype(np.float32) / np.float32(32768)


def _narrow(signals: np.ndarray, sample_rate: int, rng: np.random.Generator) -> np.ndarray:
    """Signals (N, S) through a telephone's band or a coder's cut-off, all alike."""
    low, high = 0.0, float(rng.choice(_CODECS))
    if rng.random() < 0.5:
        low, high = _TELEPHONE
    frequencies = np.fft.rfftfreq(signals.shape[1], 1 / sample_rate)
    # Slopes of a tenth of an octave or so: steeper ones ring.
    gain = np.clip((1.1 * high - frequencies) / (0.2 * high), 0, 1)
    if low:
        gain *= np.clip((frequencies - 0.8 * low) / (0.4 * low), 0, 1)
    return np.fft.irfft(np.fft.rfft(signals) * gain, signals.shape[1]).astype(np.float32)
