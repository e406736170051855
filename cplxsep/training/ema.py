"""Exponential moving average of the weights, which validates and ships instead of them."""

import torch
from torch import Tensor, nn


class Average:
    """Running average of a model's state; the first steps count more, so it needs no warm-up.

    Args:
        model: its parameters and buffers are followed.
        decay: of the average, 0 <= decay < 1; 0 follows the model itself.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow the model after its 0-based `step`."""
        keep = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        mine, theirs = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                mine.append(self.state[name])
                theirs.append(value.detach())
            else:
                self.state[name].copy_(value)
        torch._foreach_lerp_(mine, theirs, 1 - keep)

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint."""
        for name, value in state.items():
            self.state[name].copy_(value)
