"""Talkers in their rooms and noise, brought to their levels and added: prepared or dynamic."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cplxsep.config.data import Reference
from cplxsep.data.mixing import add, mix
from cplxsep.data.rooms import direct, reverberate


@dataclass(frozen=True)
class Scene:
    """A mixture (S,), its references (N, S), and the noise in it (S,), all float32.

    `heard` (N, S) are the talkers as they arrive: with the noise they are the mixture.
    """

    mixture: np.ndarray
    references: np.ndarray
    heard: np.ndarray
    noise: np.ndarray

    def cut(self, first: int, last: int) -> "Scene":
        """From one sample to another."""
        part = slice(first, last)
        return Scene(
            *(self.mixture[part], self.references[:, part]),
            *(self.heard[:, part], self.noise[part]),
        )

    def scaled(self, gain: float) -> "Scene":
        """The same at another level; the sums stay exact."""
        heard, noise = self.heard * np.float32(gain), self.noise * np.float32(gain)
        references = self.references * np.float32(gain)
        return Scene(add(np.stack([*heard, noise])), references, heard, noise)


def assemble(
    talk: np.ndarray,
    *,
    snr_db: Sequence[float],
    sample_rate: int,
    responses: Sequence[np.ndarray] | None = None,
    reference: Reference = "heard",
    noise: np.ndarray | None = None,
    noise_snr_db: float = 0.0,
) -> Scene:
    """Put talkers (N, S) into a room, each by its response, and noise (S,) to them.

    Talker n is `snr_db[n]` dB softer than the first, by the active level as it arrives; those who
    say nothing stay silent. All talkers together are `noise_snr_db` over the noise; where nobody
    talks it keeps its level.
    """
    heard, references = talk, talk
    if responses is not None:
        pairs = [
            in_room(own, response, reference, sample_rate)
            for own, response in zip(talk, responses, strict=True)
        ]
        heard, references = (np.stack(part) for part in zip(*pairs, strict=True))
    audible = [talker for talker in range(len(heard)) if heard[talker].any()]
    gains = np.ones(len(heard), np.float32)
    if audible:
        leveled = mix(
            [heard[talker] for talker in audible],
            snr_db=[snr_db[talker] - snr_db[audible[0]] for talker in audible],
            sample_rate=sample_rate,
            level="active",
            mode="max",
            peak=None,
        )
        gains[audible] = leveled.own
    heard, references = heard * gains[:, None], references * gains[:, None]
    silence = np.zeros(talk.shape[1], np.float32)
    background = silence if noise is None else noise
    if audible and background.any():
        background = mix(
            [add(heard), background],
            snr_db=[0.0, noise_snr_db],
            sample_rate=sample_rate,
            level="active",
            mode="max",
            peak=None,
        ).sources[1]
    return Scene(add(np.stack([*heard, background])), references, heard, background)


def in_room(
    dry: np.ndarray, response: np.ndarray, reference: Reference, sample_rate: int
) -> tuple[np.ndarray, np.ndarray]:
    """Speech (S,) as it arrives, and what of it is the reference."""
    wet, early = reverberate(dry, response, sample_rate)
    if reference == "heard":
        return wet, wet
    return wet, early if reference == "early" else direct(dry, response, sample_rate)
