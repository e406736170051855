"""What channels, recorders and coders do to a recording."""

import io
from dataclasses import dataclass

import numpy as np
import soundfile

from cplxsep.audio.level import from_db, rms
from cplxsep.config import NoiseConfig

_TELEPHONE = (300.0, 3400.0)  # Hz
_CUTS = (3400.0, 4000.0, 5500.0, 7000.0)  # Hz, where coders cut
_CLIP = (0.25, 0.8)  # of the mixture's peak
_OFFSET = (0.01, 0.3)  # of the mixture's peak
_HUM_DB = (-40.0, -10.0)  # under the mixture's RMS
_MAINS = (50.0, 60.0)  # Hz
_HARMONICS = 6
# Container, coding, and the most that libsndfile's compression level may be.
_CODERS = (("OGG", "VORBIS", 1.0), ("WAV", "GSM610", None), ("WAV", "ULAW", None))
_CODERS_AT_SOME_RATES = (("OGG", "OPUS", 1.0), ("MP3", "MPEG_LAYER_III", 0.9))
_THEIR_RATES = (8000, 12000, 16000, 24000, 48000)
_CODED_PEAK = 0.9


@dataclass(frozen=True)
class Hum:
    """The mains, their harmonics' amplitudes and phases, and a level under the mixture's."""

    base: float  # Hz
    amplitudes: np.ndarray
    phases: np.ndarray
    level_db: float


@dataclass(frozen=True)
class Coder:
    """A lossy coder as libsndfile names it, with its settings."""

    container: str
    subtype: str
    settings: dict[str, float]


@dataclass(frozen=True)
class Harm:
    """What is done to one example; None and 0: nothing of the kind."""

    band: tuple[float, float] | None = None  # Hz
    offset: float = 0.0  # of the mixture's peak
    hum: Hum | None = None
    clip: float | None = None  # of the mixture's peak
    coder: Coder | None = None


class Damage:
    """Narrows, adds a constant or hum, clips and encodes, each in a share of the examples."""

    def __init__(self, config: NoiseConfig, sample_rate: int) -> None:
        self._config = config
        self._rate = sample_rate

    def draw(self, rng: np.random.Generator) -> Harm:
        """What is done to an example."""
        config, offset = self._config, 0.0
        band, hum, clip, coder = None, None, None, None
        if rng.random() < config.band_limited:
            band = 0.0, float(rng.choice(_CUTS))
            if rng.random() < 0.5:
                band = _TELEPHONE
        # Where a share is 0 nothing is drawn: older configurations keep their examples.
        if config.offset and rng.random() < config.offset:
            offset = float(rng.uniform(*_OFFSET) * rng.choice([-1, 1]))
        if config.hum and rng.random() < config.hum:
            hum = _draw_hum(rng)
        if rng.random() < config.clipped:
            clip = rng.uniform(*_CLIP)
        if config.coded and rng.random() < config.coded:
            coder = draw_coder(self._rate, rng)
        return Harm(band, offset, hum, clip, coder)

    def __call__(
        self, mixture: np.ndarray, references: np.ndarray, harm: Harm
    ) -> tuple[np.ndarray, np.ndarray]:
        """A mixture (S,) and its references (N, S), which have no more than the channel's band."""
        if harm.band:
            narrowed = narrow(np.stack([mixture, *references]), self._rate, *harm.band)
            mixture, references = narrowed[0], narrowed[1:]
        if harm.offset:
            mixture = mixture + np.float32(harm.offset * float(np.abs(mixture).max()))
        if harm.hum:
            mixture = mixture + sound_of(harm.hum, mixture, self._rate)
        if harm.clip:
            limit = np.float32(harm.clip) * np.abs(mixture).max()
            mixture = np.clip(mixture, -limit, limit)
        if harm.coder:
            mixture = encoded(mixture, self._rate, harm.coder)
        return mixture, references


def narrow(signals: np.ndarray, sample_rate: int, low: float, high: float) -> np.ndarray:
    """Signals (N, S) without what is below `low` and above `high` Hz; 0: nothing is below."""
    frequencies = np.fft.rfftfreq(signals.shape[1], 1 / sample_rate)
    # Slopes of a tenth of an octave or so: steeper ones ring.
    gain = np.clip((1.1 * high - frequencies) / (0.2 * high), 0, 1)
    if low:
        gain *= np.clip((frequencies - 0.8 * low) / (0.4 * low), 0, 1)
    return np.fft.irfft(np.fft.rfft(signals) * gain, signals.shape[1]).astype(np.float32)


def _draw_hum(rng: np.random.Generator) -> Hum:
    base = rng.choice(_MAINS) * rng.uniform(0.999, 1.001)
    amplitudes = rng.random(_HARMONICS) / np.arange(1, 1 + _HARMONICS)
    phases = rng.uniform(0, 2 * np.pi, _HARMONICS)
    return Hum(base, amplitudes, phases, rng.uniform(*_HUM_DB))


def sound_of(hum: Hum, mixture: np.ndarray, sample_rate: int) -> np.ndarray:
    """Hum (S,) of the mains and its harmonics, at a level that goes by the mixture's (S,)."""
    orders = np.arange(1, 1 + _HARMONICS)
    time = np.arange(len(mixture)) / sample_rate
    tones = np.cos(2 * np.pi * hum.base * orders[:, None] * time + hum.phases[:, None])
    sound = hum.amplitudes @ tones
    wanted = rms(mixture) * from_db(hum.level_db)
    return (sound * (wanted / rms(sound))).astype(np.float32)


def draw_coder(sample_rate: int, rng: np.random.Generator) -> Coder:
    """A coder that the rate permits."""
    coders = _CODERS + (_CODERS_AT_SOME_RATES if sample_rate in _THEIR_RATES else ())
    container, subtype, most = coders[rng.integers(len(coders))]
    settings = {} if most is None else {"compression_level": rng.uniform(0.5, 1) * most}
    return Coder(container, subtype, settings)


def encoded(mixture: np.ndarray, sample_rate: int, coder: Coder) -> np.ndarray:
    """A mixture (S,) through a lossy coder, in time and at its level."""
    peak = float(np.abs(mixture).max())
    if not peak:
        return mixture
    kind = {"format": coder.container, "subtype": coder.subtype, **coder.settings}
    file = io.BytesIO()
    scaled = mixture * np.float32(_CODED_PEAK / peak)  # coders of 16 bits clip
    soundfile.write(file, scaled, sample_rate, **kind)
    file.seek(0)
    decoded = soundfile.read(file, frames=len(mixture), dtype="float32", fill_value=0.0)[0]
    return decoded * np.float32(peak / _CODED_PEAK)
