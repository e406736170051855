"""Speaker embeddings: what the sound of a source tells, frame by frame, of who it is.

A small network over powers in bands, and a model of two covariances (Brümmer and de Villiers, "The
speaker partitioning problem", 2010) of its output's means, trained together by
benchmarks/voices.py. Only ratios of bands within a frame count, so that no level changes anything.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.networks.bands import BANDS

CHANNELS, DIMENSIONS = 192, 64
# Frames that each convolution looks at, and how many lie between two of them: half a second in all.
KERNELS, DILATIONS = (5, 3, 3), (1, 2, 3)
DROPPED = 0.2  # share of a layer's output, in training: there are few talkers to learn from
FLOOR = 1e-4  # of a frame's mean power over the bands
MIDDLE = 1.2  # about minus the mean of the features, in factors of ten


class SpeakerEmbedding(nn.Module):
    """Embeddings (..., T, DIMENSIONS) of frames from their powers in bands (..., T, BANDS).

    Of two talkers' means over many frames each is taken to be drawn from a normal distribution of
    variance 1 in every dimension; what is heard of one differs from it by a variance `session` and
    by `frame` over the number of frames.
    """

    def __init__(self) -> None:
        super().__init__()
        inputs = (BANDS, *(CHANNELS for _ in KERNELS[1:]))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(count, CHANNELS, kernel, dilation=apart, padding=kernel // 2 * apart)
            for count, kernel, apart in zip(inputs, KERNELS, DILATIONS, strict=True)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(CHANNELS) for _ in KERNELS)
        self.last = nn.Linear(CHANNELS, DIMENSIONS)
        self.log_frame = nn.Parameter(torch.full((DIMENSIONS,), 1.0))
        self.log_session = nn.Parameter(torch.full((DIMENSIONS,), -1.0))

    def forward(self, powers: Tensor, heard: int) -> Tensor:
        """Embeddings, float32. Only the first `heard` bands are there, at this sample rate."""
        there = powers[..., :heard].float()
        relative = there / (there.mean(-1, keepdim=True) + torch.finfo(torch.float32).tiny)
        levels = F.pad(torch.log10(relative + FLOOR) + MIDDLE, (0, BANDS - heard))
        x = levels.flatten(0, -3).transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = F.dropout(norm(F.relu(convolution(x))), DROPPED, self.training)
        return self.last(x.transpose(1, 2)).unflatten(0, powers.shape[:-2])

    def observed(self, means: Tensor, frames: Tensor) -> Tensor:
        """What mean embeddings (..., DIMENSIONS) over so many frames (...,) tell of a voice.

        (..., 2, DIMENSIONS): precisions, and means times these. Of one talker's means they add.
        """
        precision = 1 / (self.log_frame.exp() / frames[..., None] + self.log_session.exp())
        return torch.stack([precision, precision * means], dim=-2)

    def log_ratio(
        self, known: Tensor, known_frames: Tensor, heard: Tensor, heard_frames: Tensor
    ) -> Tensor:
        """Log-likelihood (N, M) that heard voice j is known talker i, less that it is anyone.

        In nats; of mean embeddings known (N, DIMENSIONS) and heard (M, DIMENSIONS), over so many
        frames (N,) and (M,).
        """
        one, other = self.observed(known, known_frames), self.observed(heard, heard_frames)
        together = evidence(one[:, None] + other[None])
        return together - evidence(one)[:, None] - evidence(other)[None]


def evidence(observed: Tensor) -> Tensor:
    """Log-likelihood (...,), in nats, that what adds up to (..., 2, D) was all of one talker.

    Less a constant of each observation, so that only those of all talkers together compare.
    """
    precision, weighted = observed.unbind(-2)
    return 0.5 * (weighted.square() / (1 + precision) - torch.log1p(precision)).sum(-1)
