"""The training loop: steps, validations and checkpoints, with an exact way back after a stop."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

from torch import Tensor

from cplxsep.errors import CplxsepError, InputError
from cplxsep.training import checkpoint
from cplxsep.training.batches import Examples, batches
from cplxsep.training.distributed import peer_lost
from cplxsep.training.graph_step import training_step
from cplxsep.training.schedule import ends_at_deadline, is_over
from cplxsep.training.selection import ModelSelection
from cplxsep.training.state import RunContext, RunState
from cplxsep.training.stop import Stopped


class Trainer:
    """One training run in one folder.

    Args:
        train: mixtures by number, at each of the run's rates, in whose turn steps take them.
        valid: those for validation, at the highest.
    """

    def __init__(
        self, state: RunState, context: RunContext, train: Sequence[Examples], valid: Examples
    ) -> None:
        self.state = state
        self.context = context
        self.examples = train
        self.step = training_step(state, context)
        self.selection = ModelSelection(state, context, valid)
        self._saved_at = time.monotonic()

    def run(self, until_step: int) -> None:
        """Train to `until_step`, or until the deadline. Ends with a validation and a checkpoint.

        Raises:
            Stopped: a stop was asked for; the checkpoint is written.
            InputError: more non-finite steps in a row than the configuration allows, or data that
                cannot be read, or a full disk, or the end of another process. What was done until
                then is saved where it can be.
        """
        state, ranks, settings = self.state, self.context.ranks, self.context.config.train
        stream = batches(
            self.examples,
            state.progress.step,
            settings.batch,
            share=ranks.share(settings.batch, settings.accumulate),
            workers=settings.workers,
            pinned=ranks.device.type == "cuda",
        )
        state.model.train()
        state.optimizers.set_mode(training=True)
        try:
            with closing(stream):
                late = self._steps(stream, until_step)
            self._finish(late)
        except Stopped:
            self._save()
            ranks.barrier()  # or the others' end would end the first while it writes
            raise Stopped(f"stopped at step {state.progress.step}, checkpoint written") from None
        except (CplxsepError, RuntimeError) as error:
            lost = peer_lost(error)
            if lost or isinstance(error, CplxsepError):
                with suppress(InputError):  # the first error tells more
                    self._save()
            if lost:
                raise InputError(f"another process ended, at step {state.progress.step}") from error
            raise

    def _steps(self, stream: Iterator[tuple[Tensor, Tensor]], until_step: int) -> bool:
        """Steps, with validations and checkpoints between, to the end of the run.

        Returns whether it was the deadline that ended them.
        """
        settings, progress = self.context.config.train, self.state.progress
        if progress.step == 0:
            # From here on the folder is recognised as a run, whenever it is stopped.
            self._save()
            due = self.state.parent is not None  # to see what it starts from
        else:
            due = progress.step % settings.valid_every == 0  # where the last stop was
        if due and not progress.validated():
            self._validate()
        late = bool(self.context.ranks.sum(self.context.clock.late()))
        while progress.step < until_step and not (late or self._over()):
            stop, late = self.step(stream, self._undisturbed(until_step))
            if stop:
                raise Stopped
            if progress.step % settings.valid_every == 0:
                self._validate()
            elif self._save_due():
                self._save()
        return late

    def _undisturbed(self, until_step: int) -> int:
        """Steps until the run may end, or validate, or write a checkpoint by steps."""
        settings, step = self.context.config.train, self.state.progress.step
        every = filter(None, (settings.valid_every, settings.save_every))
        return min(until_step - step, *(steps - step % steps for steps in every))

    def _over(self) -> bool:
        """Whether the run has had its steps, or its minutes, or all its patience."""
        settings, progress = self.context.config.train, self.state.progress
        if is_over(progress, settings):
            return True
        patience = settings.patience
        return patience > 0 and progress.since_best(settings.valid_every) >= patience

    def _finish(self, late: bool) -> None:
        """Validate the last weights, and the average of the best ones if there is to be one.

        Of a piece of a run what would not be validated in one go does not count.
        """
        config, progress = self.context.config, self.state.progress
        deadline = self.context.clock.deadline
        over = self._over() or (late and ends_at_deadline(config.optim, config.train, deadline))
        if not over and progress.step % config.train.valid_every:
            if progress.piece[0] != progress.step:
                self.selection.validate_piece()
                self._save()
            return
        # Without a best there is no model to give: one that was removed is published again.
        if not progress.validated() or progress.best == float("-inf"):
            self._validate()
        if over and config.train.average_best > 1 and progress.averaged != progress.step:
            self.selection.validate_average()
            self._save()

    def _validate(self) -> None:
        self.selection.validate()
        self._save()

    def _save_due(self) -> bool:
        """Whether it is time for a checkpoint, by the clock or by steps."""
        settings = self.context.config.train
        if settings.save_every and self.state.progress.step % settings.save_every == 0:
            return True
        return time.monotonic() - self._saved_at >= 60 * settings.save_minutes

    def _save(self) -> None:
        """Write a checkpoint from which the run goes on exactly."""
        self._saved_at = time.monotonic()
        if self.context.ranks.first:
            checkpoint.save(self.context.folder, self.state.to_save(self.context.config))
