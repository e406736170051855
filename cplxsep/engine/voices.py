"""What talkers sound like, by the shipped speaker embedding. Numpy in and out."""

import numpy as np
import torch

from cplxsep.model_folder.voices import load_voices
from cplxsep.networks import speaker_embedding


def heard_of(embedded: np.ndarray, own: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """What embeddings of frames (N, T, D) add up to in the frames that are a talker's own (N, T).

    Of each stretch, which begins at frame `begins` (K,) and ends where the next does: the sum, and
    the number of frames (K, N, D + 1).
    """
    counted = own[:, None].astype(embedded.dtype)
    ends = [*begins[1:], own.shape[1]]
    sums = [counted[..., a:b] @ embedded[:, a:b] for a, b in zip(begins, ends, strict=True)]
    frames = np.add.reduceat(own, begins, axis=1, dtype=int)[..., None]
    heard = np.concatenate([np.concatenate(sums, axis=1), frames], axis=-1, dtype=np.float64)
    return heard.swapaxes(0, 1)


def told(heard: np.ndarray) -> np.ndarray:
    """What so much heard (..., D + 1) of a talker in one go tells of the voice (..., 2, D).

    Nothing where there are no frames. What is told in several goes adds up.
    """
    frames = torch.from_numpy(heard[..., -1])
    means = torch.from_numpy(heard[..., :-1]) / frames.clamp_min(1)[..., None]
    return load_voices(torch.device("cpu")).observed(means, frames).numpy()


def evidence(voices: np.ndarray) -> np.ndarray:
    """Log-likelihood (...,), in nats, that what adds up to each of (..., 2, D) is of one talker.

    Less a constant of each passage, so that only those of all talkers together compare.
    """
    return speaker_embedding.evidence(torch.from_numpy(voices)).numpy()
