"""The level of a signal as far as it was heard, frame by frame."""

import torch
from torch import Tensor, nn

from cplxsep.nn.memory import Memory


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
        age = torch.arange(power.shape[1], dtype=power.dtype, device=power.device)
        weights = torch.exp((age - age[:, None]) / self.frames).tril()
        sums = torch.stack([power, torch.ones_like(power)]) @ weights.t()  # (2, B, T)
        if memory is not None:
            if self in memory:
                sums += memory[self] * torch.exp(-(age + 1) / self.frames)
            memory[self] = sums[:, :, -1:]
        return (sums[0] / sums[1]).sqrt()
