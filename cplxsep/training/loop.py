"""The training loop: steps, validation, checkpoints, and an exact way back after a stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cplxsep.config import Config
from cplxsep.errors import InputError
from cplxsep.networks.model import SeparationModel
from cplxsep.training import checkpoint
from cplxsep.training.batches import Examples, batches
from cplxsep.training.ema import Average
from cplxsep.training.log import Log
from cplxsep.training.objective import Objective
from cplxsep.training.optim import build_optimizer, set_lr
from cplxsep.training.schedule import lr_at
from cplxsep.training.validate import si_sdr_improvement


@dataclass
class Progress:
    """What a run has done so far; part of the checkpoint. Times in seconds."""

    step: int = 0
    bad_steps: int = 0
    audio: float = 0.0
    busy: float = 0.0
    best: float = float("-inf")
    history: list[tuple[int, float]] = field(default_factory=list)


class Trainer:
    """One training run in one folder.

    Args:
        model: on its device, freshly built from `config.model`.
        config: the whole run.
        train, valid: mixtures by number.
        folder: checkpoints and log go here.
        autocast: type for mixed precision, or None.
        publish: called with the averaged model and the progress at each new best validation.
    """

    def __init__(
        self,
        model: SeparationModel,
        config: Config,
        train: Examples,
        valid: Examples,
        folder: Path,
        *,
        autocast: torch.dtype | None,
        publish: Callable[[SeparationModel, Progress], None],
        log: Log,
    ) -> None:
        self.model = model
        self.config = config
        self.train_examples = train
        self.valid_examples = valid
        self.folder = folder
        self.autocast = autocast
        self.publish = publish
        self.log = log
        self.device = next(model.parameters()).device
        self.optimizer = build_optimizer(model, config.optim)
        self.average = Average(model, config.optim.ema)
        self.objective = Objective(config.train)
        self.progress = Progress()

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"])
        self.progress = Progress(**{**state["progress"], "step": state["step"]})

    def save(self) -> None:
        """Write a checkpoint from which `resume` continues exactly."""
        checkpoint.save(
            self.folder,
            {
                "step": self.progress.step,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.state,
                "progress": vars(self.progress),
                "config": self.config.model_dump(),
            },
        )

    def run(self, *, until_step: int, deadline: float | None = None) -> None:
        """Train to `until_step`, or until the monotonic clock passes `deadline`.

        Ends with a validation and a checkpoint.

        Raises:
            InputError: more non-finite steps than the configuration allows, or a full disk.
        """
        settings = self.config.train
        stream = batches(self.train_examples, self.progress.step, settings.batch)
        self.model.train()
        if self.progress.step == 0:
            # From here on the folder is recognised as a run, whenever it is stopped.
            self.save()
        while self.progress.step < until_step:
            if deadline is not None and time.monotonic() > deadline:
                break
            self._one(*next(stream))
            step = self.progress.step
            if step % settings.valid_every == 0 and step < until_step:
                self.validate()
                self.save()
            elif step % settings.save_every == 0:
                self.save()
        stream.close()
        validated = (
            self.progress.history[-1:] and self.progress.history[-1][0] == self.progress.step
        )
        # Without a best there is no model to give: one that was removed is published again.
        if not validated or self.progress.best == float("-inf"):
            self.validate()
            self.save()

    def validate(self) -> None:
        """Log the SI-SDR improvement of the averaged weights in dB; publish a new best."""
        settings = self.config
        raw = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.average.state)
        try:
            score = si_sdr_improvement(
                self.model,
                self.valid_examples,
                settings.data.valid_mixtures,
                settings.train.batch,
                device=self.device,
                autocast=self.autocast,
            )
            progress = self.progress
            progress.history.append((progress.step, score))
            self.log.validation(progress.step, score, progress.audio, progress.busy)
            if score > progress.best:
                progress.best = score
                self.publish(self.model, progress)
        finally:
            self.model.load_state_dict(raw)
            self.model.train()

    def _one(self, mixtures: Tensor, sources: Tensor) -> None:
        """One optimiser step; a non-finite one changes nothing but its count."""
        progress, settings = self.progress, self.config
        started = time.monotonic()
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        # Dropout draws must not depend on what came before a resume.
        torch.manual_seed(settings.train.seed + 1_000_003 * (progress.step + 1))
        lr = lr_at(progress.step, settings.optim, settings.train)
        set_lr(self.optimizer, lr)
        loss = self.objective(
            self.model, mixtures.to(self.device), sources.to(self.device), self.autocast
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.optim.clip)
        value, norm_value = loss.item(), norm.item()
        finite = abs(value) < float("inf") and norm_value < float("inf")
        if finite:
            self.optimizer.step()
            self.average.update(self.model, progress.step)
        else:
            progress.bad_steps += 1
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)  # batch norm has taken the bad values in already
        progress.step += 1
        progress.audio += mixtures.shape[0] * mixtures.shape[1] / settings.model.sample_rate
        progress.busy += time.monotonic() - started
        self.log.step(progress.step, value, norm_value, lr, progress.audio, progress.busy)
        if progress.bad_steps > settings.train.max_bad_steps:
            raise InputError(
                f"training diverged: {progress.bad_steps} steps were not finite, the last at step "
                f"{progress.step}; lower optim.lr or set train.precision=fp32"
            )
