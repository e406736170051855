"""One step of training, from a batch to new weights."""

import math
import time
from collections.abc import Iterator
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from cplxsep.errors import InputError
from cplxsep.training.objective import Objective, TrainingForward
from cplxsep.training.schedule import lr_at
from cplxsep.training.state import RunContext, RunState


class TrainingStep:
    """The step of a run; all its processes make each step together, and the same one."""

    def __init__(self, state: RunState, context: RunContext) -> None:
        self.state = state
        self.context = context
        config = context.config
        filled = not config.data.seconds
        objective = Objective(config.train, context.ranks.total, filled=filled)
        forward = TrainingForward(state.model, objective, context.autocast)
        self.forward = context.ranks.parallel(forward)
        self.rehearsed = context.ranks.count == 1
        self.buffers = list(state.model.buffers())
        # Statistics of batch norm, which each process sees of its own share.
        self.statistics = [
            buffer
            for name, buffer in state.model.named_buffers()
            if name.rpartition(".")[2].startswith("running_")
        ]

    def __call__(
        self,
        batches: Iterator[tuple[Tensor, Tensor]],
        most: int = 1,  # noqa: ARG002
    ) -> tuple[bool, bool]:
        """A step from the next batch; a non-finite one changes nothing but its count.

        Of `most` steps that could be made before the next validation or checkpoint it makes one.

        Returns whether any process was asked to stop, and whether any is past the deadline.

        Raises:
            InputError: more non-finite steps in a row than the configuration allows, or data that
                cannot be read.
        """
        config, ranks = self.context.config, self.context.ranks
        model, progress = self.state.model, self.state.progress
        started = time.monotonic()
        mixtures, sources = next(batches)
        if not config.data.seconds:
            # Complete mixtures have been filled up to the longest of this process's share.
            missing = ranks.largest(mixtures.shape[1]) - mixtures.shape[1]
            mixtures, sources = F.pad(mixtures, (0, missing)), F.pad(sources, (0, missing))
        device = ranks.device
        mixtures = mixtures.to(device, non_blocking=True)
        sources = sources.to(device, non_blocking=True)
        buffers = self.copied_buffers()
        lr = lr_at(progress.step, config.optim, config.train, progress.busy, self.context.elapsed())
        self.state.optimizers.set_lr(lr)
        rates = self.context.config.training_rates
        rate = rates[progress.step % len(rates)]
        try:
            if not self.rehearsed:
                self._rehearse(rate, mixtures, sources)
                self.restore(buffers)
            loss, stop, late = self._gradients(rate, mixtures, sources)
        except BaseException:
            self.restore(buffers)  # what is saved now is of the step before
            raise
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip).item()
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            self.state.optimizers.step()
            self.state.average.update(model, progress.step)
        else:
            self.restore(buffers)  # batch norm has taken the bad values in already
        # The mean, for what goes by it must be the same in every process.
        seconds = ranks.sum(time.monotonic() - started) / ranks.count
        count_step(self.state, self.context, loss, norm, lr, mixtures.shape[1] / rate, seconds)
        return stop, late

    def _gradients(self, rate: int, mixtures: Tensor, sources: Tensor) -> tuple[float, bool, bool]:
        """Leave the mean gradient of the global batch in the parameters.

        Returns its mean loss, and whether any process wants to stop or is late.
        """
        context, settings = self.context, self.context.config.train
        parts = settings.accumulate
        # Dropout depends neither on what came before a resume nor on how the batch is divided.
        seed = settings.seed + 1_000_003 * (self.state.progress.step + 1)
        self.state.optimizers.zero_grad()
        total = torch.zeros((), device=mixtures.device)
        shares = zip(mixtures.chunk(parts), sources.chunk(parts), strict=True)
        for part, (some, theirs) in enumerate(shares, 1):
            torch.manual_seed(seed)
            with nullcontext() if part == parts else context.ranks.alone(self.forward):
                loss = self.forward(rate, some, theirs) / parts
                loss.backward()
            total += loss.detach()
        wishes = torch.tensor([context.stop(), context.clock.late()], dtype=torch.float32)
        report = torch.cat([total.view(1), wishes.to(mixtures.device)])
        context.ranks.average([*self.statistics, report])
        loss, stop, late = report.tolist()
        return loss, stop > 0, late > 0

    def _rehearse(self, rate: int, mixtures: Tensor, sources: Tensor) -> None:
        """A backward pass whose gradients are forgotten.

        By its order DistributedDataParallel divides gradients into messages from then on. Where a
        number stands in one decides how its sum over three processes or more is rounded, so that
        otherwise a resumed run would not go on exactly.
        """
        size = len(mixtures) // self.context.config.train.accumulate
        self.forward(rate, mixtures[:size], sources[:size]).backward()
        self.rehearsed = True

    def copied_buffers(self) -> list[Tensor]:
        """The values that the model's buffers have."""
        return [buffer.clone() for buffer in self.buffers]

    @torch.no_grad()
    def restore(self, buffers: list[Tensor]) -> None:
        """Give the model the values that its buffers had."""
        for buffer, before in zip(self.buffers, buffers, strict=True):
            buffer.copy_(before)


def count_step(
    state: RunState,
    context: RunContext,
    loss: float,
    norm: float,
    lr: float,
    length: float,
    seconds: float,
) -> None:
    """Count and log a step that took `seconds`, from mixtures `length` seconds long.

    Raises:
        InputError: more non-finite steps in a row than the configuration allows.
    """
    progress, settings = state.progress, context.config.train
    progress.count(math.isfinite(loss) and math.isfinite(norm))
    progress.audio += settings.batch * length
    progress.busy += seconds
    context.log.step(progress, loss, norm, lr)
    if progress.bad_in_a_row > settings.max_bad_steps:
        raise InputError(
            f"training diverged: {progress.bad_in_a_row} steps in a row were not finite, the "
            f"last at step {progress.step}; lower optim.lr or set train.precision=fp32"
        )
