"""What talkers sound like: means of speaker embeddings, learnt as a recording goes on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from cplxsep.model_folder.voices import load_voices

MEMORY_FRAMES = 4000.0  # frames (128 s) after which old speech fades


@dataclass(frozen=True)
class Voice:
    """Mean embedding (D,), float32, of so many frames."""

    frames: float
    mean: np.ndarray

    def with_more(self, other: "Voice") -> "Voice":
        """The same after what else was heard."""
        total = self.frames + other.frames
        mean = self.mean + other.frames / total * (other.mean - self.mean)
        return Voice(min(total, MEMORY_FRAMES), mean)


def voice_of(embedded: np.ndarray) -> Voice:
    """Voice of one talker from embeddings of frames (T, D), T at least 1."""
    return Voice(len(embedded), embedded.mean(axis=0))


def likeness(
    known: Sequence[Voice | None], heard: Sequence[Voice | None], new: float
) -> np.ndarray:
    """Log-likelihood ratio (N, M), in nats, that heard voice j is that of known talker i.

    Against anyone's. `new` for a talker who is None; zero where j is None.
    """
    rows = [i for i, voice in enumerate(known) if voice is not None]
    columns = [j for j, voice in enumerate(heard) if voice is not None]
    scores = np.zeros((len(known), len(heard)))
    scores[:, columns] = new
    if rows and columns:
        sides = [*_moments(known), *_moments(heard)]
        scores[np.ix_(rows, columns)] = load_voices(torch.device("cpu")).log_ratio(*sides).numpy()
    return scores


def _moments(voices: Sequence[Voice | None]) -> tuple[torch.Tensor, torch.Tensor]:
    """Means (N, D) and frames (N,) of those that there are."""
    there = [voice for voice in voices if voice is not None]
    frames = torch.tensor([float(voice.frames) for voice in there])
    return torch.from_numpy(np.stack([voice.mean for voice in there])), frames
