"""The level of a signal as far as it was heard, frame by frame."""

import torch
from torch import Tensor, nn

from cplxsep.nn.memory import Memory

_AT_ONCE = 1024  # frames: the weights are a matrix of them


class RunningLevel(nn.Module):
    """Root of the mean power of the frames up to each one; older ones count ever less.

    The frame itself is among them, so that none is more than some ten times above its level, even
    the first after a long silence.

    Args:
        frames: after so many a frame counts e times less.
    """

    def __init__(self, frames: float) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, power: Tensor, memory: Memory | None = None) -> Tensor:
        """Levels (B, T) of mean powers (B, T) of frames."""
        given = torch.stack([power, torch.ones_like(power)])  # (2, B, T)
        before = None if memory is None else memory.get(self)
        if before is None:
            before = given.new_zeros(*given.shape[:2], 1)
        found = []
        for some in given.split(_AT_ONCE, dim=-1):
            age = torch.arange(some.shape[-1], dtype=power.dtype, device=power.device)
            weights = torch.exp((age - age[:, None]) / self.frames).tril()
            sums = some @ weights.t() + before * torch.exp(-(age + 1) / self.frames)
            before = sums[:, :, -1:].clone()
            found.append(sums)
        if memory is not None:
            memory[self] = before
        powers, counts = torch.cat(found, dim=-1)
        return (powers / counts).sqrt()
