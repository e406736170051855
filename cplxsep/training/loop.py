"""The training loop: steps, validation, checkpoints, and an exact way back after a stop."""

import math
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cplxsep.config import Config
from cplxsep.errors import CplxsepError, InputError
from cplxsep.networks.model import SeparationModel
from cplxsep.training import checkpoint
from cplxsep.training.batches import Examples, batches
from cplxsep.training.best import BestWeights
from cplxsep.training.distributed import Ranks, left_alone
from cplxsep.training.ema import Average, in_use
from cplxsep.training.examples import are_conversations
from cplxsep.training.log import Log
from cplxsep.training.objective import Objective
from cplxsep.training.optim import build_optimizers
from cplxsep.training.progress import Progress
from cplxsep.training.schedule import lr_at, share_done
from cplxsep.training.stop import Stopped
from cplxsep.training.validate import Quality, validate


class Trainer:
    """One training run in one folder.

    Args:
        model: on its device, freshly built from `config.model`.
        config: the whole run.
        train, valid: mixtures by number; for training at each of `config.data.rates`, in whose
            turn steps take them, for validation at the highest.
        folder: checkpoints and log go here.
        autocast: type for mixed precision, or None.
        publish: called with the model in use and the progress at each new best validation.
        ranks: the processes that train together; all must make the same calls.
        parent: what is known of the model whose weights the run started from.
    """

    def __init__(
        self,
        model: SeparationModel,
        config: Config,
        train: Sequence[Examples],
        valid: Examples,
        folder: Path,
        *,
        autocast: torch.dtype | None,
        publish: Callable[[SeparationModel, Progress], None],
        log: Log,
        ranks: Ranks | None = None,
        parent: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.config = config
        self.train_examples = train
        self.valid_examples = valid
        self.rates = config.data.rates or (model.sample_rate,)
        self.folder = folder
        self.autocast = autocast
        self.publish = publish
        self.log = log
        self.ranks = ranks or Ranks(device=next(model.parameters()).device)
        self.parent = parent
        self.stop: Callable[[], bool] = lambda: False  # asked whether to save and stop
        self.deadline = math.inf
        self._saved_at = time.monotonic()
        self.optimizers = build_optimizers(model, config.optim)
        self.average = Average(model, config.optim.ema)
        self.best = BestWeights(folder, config.train.average_best)
        self.objective = Objective(config.train, self.ranks.total, filled=not config.data.seconds)
        self.progress = Progress()
        # Statistics of batch norm, which each process sees of its own share.
        self.statistics = [
            buffer
            for name, buffer in model.named_buffers()
            if name.rpartition(".")[2].startswith("running_")
        ]

    def resume(self, state: dict[str, Any]) -> None:
        """Continue from a checkpoint's state."""
        self.model.load_state_dict(state["model"])
        self.optimizers.restore(state["optimizer"])
        self.average.load(state["average"])
        self.progress = Progress(**{**state["progress"], "step": state["step"]})
        self.log.begin(self.progress.step)

    def save(self) -> None:
        """Write a checkpoint from which `resume` continues exactly."""
        self._saved_at = time.monotonic()
        if not self.ranks.first:
            return
        checkpoint.save(
            self.folder,
            {
                "step": self.progress.step,
                "model": self.model.state_dict(),
                "optimizer": self.optimizers.state_dict(),
                "average": self.average.state,
                "progress": vars(self.progress),
                "config": self.config.model_dump(),
                "parent": self.parent,
            },
        )

    def run(self, *, until_step: int, deadline: float | None = None) -> None:
        """Train to `until_step`, or until the monotonic clock passes `deadline`.

        Ends with a validation and a checkpoint.

        Raises:
            Stopped: a stop was asked for; the checkpoint is written.
            InputError: more non-finite steps in a row than the configuration allows, or data that
                cannot be read, or a full disk, or the end of another process. What was done until
                then is saved where it can be.
        """
        settings, progress = self.config.train, self.progress
        stream = batches(
            self.train_examples,
            progress.step,
            settings.batch,
            share=self.ranks.share(settings.batch, settings.accumulate),
            workers=settings.workers,
            pinned=self.ranks.device.type == "cuda",
        )
        self.deadline = math.inf if deadline is None else deadline
        self.model.train()
        self.optimizers.set_mode(training=True)
        try:
            with closing(stream):
                self._train(stream, until_step)
            self._finish()
        except Stopped:
            self.save()
            self.ranks.wait()  # or the others' end would end the first while it writes
            raise Stopped(f"stopped at step {progress.step}, checkpoint written") from None
        except (CplxsepError, RuntimeError) as error:
            alone = left_alone(error)
            if alone or isinstance(error, CplxsepError):
                with suppress(InputError):  # the first error tells more
                    self.save()
            if alone:
                raise InputError(f"another process ended, at step {progress.step}") from error
            raise

    def _train(self, stream: Iterator[tuple[Tensor, Tensor]], until_step: int) -> None:
        """Steps, with validations and checkpoints between, to the end of the run."""
        settings, progress = self.config.train, self.progress
        if progress.step == 0:
            # From here on the folder is recognised as a run, whenever it is stopped.
            self.save()
            due = self.parent is not None  # to see what it starts from
        else:
            due = progress.step % settings.valid_every == 0  # where the last stop was
        if due and not progress.validated():
            self.validate()
        late = bool(self.ranks.sum(time.monotonic() > self.deadline))
        while progress.step < until_step and not (late or self.over() or self._no_better()):
            started = time.monotonic()
            mixtures, sources = next(stream)
            stop, late = self._one(mixtures, sources, started)
            if stop:
                raise Stopped
            if progress.step % settings.valid_every == 0:
                self.validate()
            elif self._save_due():
                self.save()

    def validate(self) -> None:
        """Log the quality of the weights in use; publish a new best; save."""
        progress = self.progress
        with in_use(self.model, self.optimizers, self.average):
            quality = self._quality()
            score = quality.si_sdr_i
            progress.history.append((progress.step, score))
            try:
                self.log.validation(progress.step, quality, progress.audio, progress.busy)
                if self.config.train.average_best and self.ranks.first:
                    self.best.keep(progress.history, self.model.state_dict())
                self._publish_if_best(score)
            except CplxsepError:
                progress.history.pop()  # the resumed run does it again
                raise
        self.save()

    def _quality(self) -> Quality:
        """Of the model as it is. Raises Stopped when asked to before the end."""
        settings, examples = self.config.train, self.valid_examples
        count = self.config.data.valid_mixtures
        batch = settings.batch // (self.ranks.count * settings.accumulate)
        if not self.config.data.valid_seconds:
            # Complete mixtures go one by one: zeros after the shorter ones would change their
            # score with the batch, and with the number of processes. None comes twice.
            batch = 1
            count = min(count, len(examples)) if isinstance(examples, Sized) else count
        return validate(
            self.model.at(max(self.rates)),
            examples,
            count,
            batch,
            conversations=are_conversations(self.config, examples),
            ranks=self.ranks,
            autocast=self.autocast,
            stop=self.stop,
        )

    def _publish_if_best(self, score: float) -> None:
        before = self.progress.best
        if score > before:
            self.progress.best = score
            try:
                if self.ranks.first:
                    self.publish(self.model, self.progress)
            except CplxsepError:
                self.progress.best = before
                raise

    def over(self) -> bool:
        """Whether the run has had its steps, or its minutes."""
        return share_done(self.progress.step, self.progress.busy, self.config.train) >= 1

    def _save_due(self) -> bool:
        """Whether it is time for a checkpoint, by the clock or by steps."""
        settings = self.config.train
        if settings.save_every and self.progress.step % settings.save_every == 0:
            return True
        return time.monotonic() - self._saved_at >= 60 * settings.save_minutes

    def _no_better(self) -> bool:
        """Whether validation has not improved for as long as the run has patience."""
        settings = self.config.train
        patience = settings.patience
        return patience > 0 and self.progress.since_best(settings.valid_every) >= patience

    def _finish(self) -> None:
        """Validate the last weights, and the average of the best ones if there is to be one."""
        progress = self.progress
        # Without a best there is no model to give: one that was removed is published again.
        if not progress.validated() or progress.best == float("-inf"):
            self.validate()
        if self.config.train.average_best > 1 and progress.averaged != progress.step:
            count, mean = self.ranks.from_first(lambda: self.best.average(progress.history))
            if count > 1:
                with in_use(self.model, self.optimizers, self.average):
                    self.model.load_state_dict(mean)
                    quality = self._quality()
                    what = f"average of the best {count}"
                    self.log.validation(progress.step, quality, progress.audio, progress.busy, what)
                    self._publish_if_best(quality.si_sdr_i)
            progress.averaged = progress.step
            self.save()

    def _one(
        self, mixtures: Tensor, sources: Tensor, started: float | None = None
    ) -> tuple[bool, bool]:
        """One optimiser step; a non-finite one changes nothing but its count.

        Returns whether any process was asked to stop, and whether any is past the deadline.
        """
        progress, settings = self.progress, self.config
        started = time.monotonic() if started is None else started
        if not settings.data.seconds:
            # Complete mixtures have been filled up to the longest of this process's share.
            missing = self.ranks.largest(mixtures.shape[1]) - mixtures.shape[1]
            mixtures, sources = F.pad(mixtures, (0, missing)), F.pad(sources, (0, missing))
        buffers = [buffer.clone() for buffer in self.model.buffers()]
        lr = lr_at(progress.step, settings.optim, settings.train, progress.busy)
        self.optimizers.set_lr(lr)
        rate = self.rates[progress.step % len(self.rates)]
        value, stop, late = self._gradients(self.model.at(rate), mixtures, sources)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.optim.clip).item()
        finite = math.isfinite(value) and math.isfinite(norm)
        if finite:
            self.optimizers.step()
            self.average.update(self.model, progress.step)
        else:
            for buffer, before in zip(self.model.buffers(), buffers, strict=True):
                buffer.copy_(before)  # batch norm has taken the bad values in already
        progress.count(finite)
        progress.audio += settings.train.batch * mixtures.shape[1] / rate
        # The mean, for what goes by it must be the same in every process.
        progress.busy += self.ranks.sum(time.monotonic() - started) / self.ranks.count
        self.log.step(progress.step, value, norm, lr, progress.audio, progress.busy)
        if progress.bad_in_a_row > settings.train.max_bad_steps:
            raise InputError(
                f"training diverged: {progress.bad_in_a_row} steps in a row were not finite, the "
                f"last at step {progress.step}; lower optim.lr or set train.precision=fp32"
            )
        return stop, late

    def _gradients(
        self, model: SeparationModel, mixtures: Tensor, sources: Tensor
    ) -> tuple[float, bool, bool]:
        """Leave the mean gradient of the global batch in the parameters.

        `model` is the trainer's at the rate of the mixtures.

        Returns its mean loss, and whether any process wants to stop or is late.
        """
        device, settings = self.ranks.device, self.config.train
        mixtures = mixtures.to(device, non_blocking=True)
        sources = sources.to(device, non_blocking=True)
        self.optimizers.zero_grad()
        seed = settings.seed + 1_000_003 * (self.progress.step + 1)
        total = self.objective.backward(
            model, mixtures, sources, self.autocast, parts=settings.accumulate, seed=seed
        )
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        wishes = torch.tensor([self.stop(), time.monotonic() > self.deadline], dtype=torch.float32)
        report = torch.cat([total.view(1), wishes.to(device)])
        self.ranks.average([*gradients, *self.statistics, report])
        value, stop, late = report.tolist()
        return value, stop > 0, late > 0
