"""What talkers sound like: the distribution of their cepstra. Numpy only.

A voice is a Gaussian over the short-time cepstra (Davis and Mermelstein, "Comparison of
parametric representations for monosyllabic word recognition", 1980) of the frames in which it
speaks. Its moments are all that is kept, so that voices can be learnt as a recording goes on,
and its scales come from the recording itself: nothing here is trained.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

BANDS, COEFFICIENTS = 24, 13
FLOOR = 1e-5  # of the energy of loud frames
MEMORY_FRAMES = 4000.0  # frames (128 s) after which old speech fades
OWN_FRAMES = 150.0  # frames (5 s) after which a talker's own covariance counts for half
YOUNG_FRAMES = 5.0  # frames of speech that are worth one independent sample
SPAN_FRAMES = 100.0  # frames of speech (3.2 s) that count for one
RIDGE = 0.1  # dB^2, of the covariance


@dataclass
class Voice:
    """Moments of `frames` cepstra: mean (D,) and covariance (D, D), in dB."""

    frames: float
    mean: np.ndarray
    covariance: np.ndarray

    def learn(self, other: "Voice", weight: float) -> None:
        """Add what was heard, counted `weight` times."""
        more = weight * other.frames
        if more == 0:
            return
        total = self.frames + more
        share, apart = more / total, other.mean - self.mean
        self.covariance = (
            (1 - share) * self.covariance
            + share * other.covariance
            + share * (1 - share) * np.outer(apart, apart)
        )
        self.mean = self.mean + share * apart
        self.frames = min(total, MEMORY_FRAMES)


def voice_of(bands: np.ndarray, loud: float) -> Voice | None:
    """Voice of one talker from powers in mel bands of frames (T, BANDS); None for fewer than two.

    loud: energy of the recording's loud frames.
    """
    if len(bands) < 2:
        return None
    levels = 10 * np.log10(bands + FLOOR * loud)
    cepstra = (levels @ _cosines()).astype(np.float64)
    mean = cepstra.mean(axis=0)
    apart = cepstra - mean
    return Voice(len(cepstra), mean, apart.T @ apart / len(cepstra))


def likeness(known: list[Voice | None], heard: list[Voice | None], unlike: float) -> np.ndarray:
    """Log-likelihood (N, M) of heard voice j under known voice i, in nats for SPAN_FRAMES frames.

    Relative to a talker with j's own mean and the covariance that is common to all; a known
    voice that is None is `unlike` below that. Zero where j is None.
    """
    scores = np.zeros((len(known), len(heard)))
    there = [voice for voice in known if voice is not None]
    if not there:
        return scores
    common = _common(there)
    average, *own = _gaussians([common, *(_shrunk(voice, common) for voice in there)])
    gaussians = iter(own)
    of_known = [None if voice is None else next(gaussians) for voice in known]
    for j, new in enumerate(heard):
        if new is None:
            continue
        reference = _log_likelihood(new, new.mean, *average)
        for i, (old, gaussian) in enumerate(zip(known, of_known, strict=True)):
            if old is None or gaussian is None:
                scores[i, j] = -unlike
            else:
                scores[i, j] = _log_likelihood(new, old.mean, *gaussian) - reference
        scores[:, j] *= new.frames / SPAN_FRAMES
    return scores


def _common(voices: list[Voice]) -> np.ndarray:
    """Covariance of all voices; what few frames do not tell of it is taken as zero."""
    total = sum(voice.frames for voice in voices)
    mean = np.sum([voice.covariance * (voice.frames / total) for voice in voices], axis=0)
    told = total / (total + OWN_FRAMES)
    return told * mean + (1 - told) * np.diag(np.diag(mean))


def _shrunk(voice: Voice, common: np.ndarray) -> np.ndarray:
    """Covariance of a voice, between its own and the common one, wider for a mean in doubt."""
    own = voice.frames / (voice.frames + OWN_FRAMES)
    return (own * voice.covariance + (1 - own) * common) * (1 + YOUNG_FRAMES / voice.frames)


def _gaussians(covariances: list[np.ndarray]) -> list[tuple[np.ndarray, float]]:
    """Inverse (D, D) and logarithm of the determinant of each covariance (D, D)."""
    steady = np.stack(covariances) + RIDGE * np.eye(len(covariances[0]))
    return list(zip(np.linalg.inv(steady), np.linalg.slogdet(steady)[1].tolist(), strict=True))


def _log_likelihood(
    heard: Voice, mean: np.ndarray, inverse: np.ndarray, log_determinant: float
) -> float:
    """Mean over the heard frames, without the constant."""
    apart = heard.mean - mean
    spread = (inverse * heard.covariance).sum() + apart @ inverse @ apart
    return -0.5 * float(spread + log_determinant)


@cache
def _cosines() -> np.ndarray:
    """Matrix (BANDS, COEFFICIENTS) of the orthonormal DCT-II.

    Not scipy's transform: importing that takes longer than separating a short file.
    """
    angles = np.pi / BANDS * np.outer(np.arange(BANDS) + 0.5, np.arange(COEFFICIENTS))
    matrix = np.cos(angles) * np.sqrt(2 / BANDS)
    matrix[:, 0] /= np.sqrt(2)
    return matrix.astype(np.float32)
