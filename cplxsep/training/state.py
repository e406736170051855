"""A run as its parts see it: what it has made so far, and what stays the same."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cplxsep.config import Config, OptimConfig
from cplxsep.networks.model import SeparationModel
from cplxsep.training.averages import RunningAverage
from cplxsep.training.clock import Clock
from cplxsep.training.distributed import Ranks
from cplxsep.training.log import Log
from cplxsep.training.optim import build_optimizers
from cplxsep.training.progress import Progress
from cplxsep.training.schedule import ends_at_deadline


class RunState:
    """What a run has made so far: all that a checkpoint holds.

    Args:
        model: on its device, freshly built.
        parent: what is known of the model whose weights the run started from.
    """

    def __init__(
        self, model: SeparationModel, config: OptimConfig, parent: dict[str, Any] | None = None
    ) -> None:
        self.model = model
        self.parent = parent
        self.optimizers = build_optimizers(model, config)
        self.average = RunningAverage(model, config.ema)
        self.progress = Progress()

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on exactly from what a checkpoint holds."""
        self.model.load_state_dict(saved["model"])
        self.optimizers.restore(saved["optimizer"])
        self.average.load(saved["average"])
        self.progress = Progress(**{**saved["progress"], "step": saved["step"]})
        self.parent = saved.get("parent")

    def to_save(self, config: Config) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "step": self.progress.step,
            "model": self.model.state_dict(),
            "optimizer": self.optimizers.state_dict(),
            "average": self.average.state,
            "progress": vars(self.progress),
            "config": config.model_dump(),
            "parent": self.parent,
        }

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """The model with the weights that one would use, in evaluation mode; then as it was.

        The weights in training come back from a copy: schedule-free's own way there and back
        rounds.
        """
        training = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.optimizers.set_mode(training=False)
        if self.average.decay:
            self.model.load_state_dict(self.average.state)
        self.model.eval()
        try:
            yield
        finally:
            self.optimizers.set_mode(training=True)
            self.model.load_state_dict(training)
            self.model.train()


@dataclass(frozen=True)
class RunContext:
    """What stays the same throughout a run."""

    config: Config
    folder: Path  # for checkpoints, best weights and the model
    log: Log
    ranks: Ranks = field(default_factory=Ranks)  # all of them must make the same calls
    autocast: torch.dtype | None = None  # for mixed precision
    stop: Callable[[], bool] = lambda: False  # asked whether to save and stop
    clock: Clock = field(default_factory=Clock)

    def elapsed(self) -> float:
        """Share of the time for steps, by which the rate then goes; 0 where it does not.

        The mean of all processes, for their rate must be the same.
        """
        config = self.config
        if not ends_at_deadline(config.optim, config.train, self.clock.deadline):
            return 0.0
        return self.ranks.sum(self.clock.share()) / self.ranks.count
