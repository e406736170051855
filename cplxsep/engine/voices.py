"""What talkers sound like, by the shipped speaker embedding. Numpy in and out."""

import numpy as np
import torch

from cplxsep.model_folder.voices import load_voices
from cplxsep.networks import speaker_embedding


def voice_of(embedded: np.ndarray) -> np.ndarray:
    """What embeddings of frames (T, D) of one talker tell of the voice (2, D); zeros if T is 0.

    What several passages of a talker tell adds up.
    """
    mean = torch.from_numpy(embedded.sum(axis=0) / max(len(embedded), 1))
    frames = torch.tensor(float(len(embedded)))
    return load_voices(torch.device("cpu")).observed(mean, frames).double().numpy()


def evidence(voices: np.ndarray) -> np.ndarray:
    """Log-likelihood (...,), in nats, that what adds up to each of (..., 2, D) is of one talker.

    Less a constant of each passage, so that only those of all talkers together compare.
    """
    return speaker_embedding.evidence(torch.from_numpy(voices)).numpy()
