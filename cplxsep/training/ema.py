"""Averages of the weights, which validate and ship instead of them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cplxsep.training.optim import Optimizers


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


@contextmanager
def in_use(model: nn.Module, optimizers: Optimizers, average: Average) -> Iterator[None]:
    """The model with the weights that one would use, in evaluation mode; then as it was.

    The weights in training come back from a copy: schedule-free's own way there and back rounds.
    """
    training = {name: value.clone() for name, value in model.state_dict().items()}
    optimizers.set_mode(training=False)
    if average.decay:
        model.load_state_dict(average.state)
    model.eval()
    try:
        yield
    finally:
        optimizers.set_mode(training=True)
        model.load_state_dict(training)
        model.train()
