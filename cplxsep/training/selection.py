"""Which weights of a run are given away: the best by validation, or the average of the best."""

import math
from collections.abc import Sized

from cplxsep.errors import CplxsepError
from cplxsep.model_folder.contents import OF_RUN
from cplxsep.model_folder.publish import publish
from cplxsep.training.averages import BestWeights
from cplxsep.training.batches import Examples
from cplxsep.training.examples import are_conversations
from cplxsep.training.state import RunContext, RunState
from cplxsep.training.validate import Quality, validate


class ModelSelection:
    """Validates a run's weights and publishes a new best.

    Args:
        examples: mixtures for validation, at the highest of the run's rates.
    """

    def __init__(self, state: RunState, context: RunContext, examples: Examples) -> None:
        self.state = state
        self.context = context
        self.examples = examples
        self.best = BestWeights(context.folder, context.config.train.average_best)

    def validate(self) -> None:
        """Log the quality of the weights in use; keep and publish those of a new best."""
        context, progress = self.context, self.state.progress
        with self.state.evaluating():
            quality = self._quality()
            progress.history.append((progress.step, quality.si_sdr_i))
            try:
                context.log.validation(progress, quality)
                if context.config.train.average_best and context.ranks.first:
                    self.best.keep(progress.history, self.state.model.state_dict())
                self._publish_if_best(quality.si_sdr_i)
            except CplxsepError:
                progress.history.pop()  # the resumed run does it again
                raise

    def validate_piece(self) -> None:
        """Log the quality at the end of a piece of a run, which would not be validated in one go.

        It does not count, so that pieces choose the model that one run would; it is published only
        where nothing else is there yet.
        """
        context, progress = self.context, self.state.progress
        with self.state.evaluating():
            quality = self._quality()
            score = quality.si_sdr_i
            context.log.validation(progress, quality)
            if progress.best == -math.inf and math.isfinite(score):
                self._publish(score)
        if score > progress.best > -math.inf:
            context.log.note(
                f"the model stays the one of {progress.best:.2f} dB: a validation at the end of a "
                "piece, between those by train.valid_every, does not count"
            )
        progress.piece = progress.step, score

    def validate_average(self) -> None:
        """The same for the average of the best weights, where there are several."""
        ranks, progress = self.context.ranks, self.state.progress
        count, mean = ranks.from_first(lambda: self.best.average(progress.history))
        if count > 1:
            with self.state.evaluating():
                self.state.model.load_state_dict(mean)
                quality = self._quality()
                self.context.log.validation(progress, quality, f"average of the best {count}")
                self._publish_if_best(quality.si_sdr_i)
        progress.averaged = progress.step

    def _quality(self) -> Quality:
        """Of the model as it is. Raises Stopped when asked to before the end."""
        context, data, settings = self.context, self.context.config.data, self.context.config.train
        count = data.valid_mixtures
        batch = settings.batch // (context.ranks.count * settings.accumulate)
        if not data.valid_seconds:
            # Complete mixtures go one by one: zeros after the shorter ones would change their
            # score with the batch, and with the number of processes. None comes twice.
            batch = 1
            count = min(count, len(self.examples)) if isinstance(self.examples, Sized) else count
        return validate(
            self.state.model.at(max(context.config.training_rates)),
            self.examples,
            count,
            batch,
            conversations=are_conversations(context.config, self.examples),
            ranks=context.ranks,
            autocast=context.autocast,
            stop=context.stop,
        )

    def _publish_if_best(self, score: float) -> None:
        progress = self.state.progress
        before = progress.best
        if score > before:
            progress.best = score
            try:
                self._publish(score)
            except CplxsepError:
                progress.best = before
                raise

    def _publish(self, score: float) -> None:
        if self.context.ranks.first:
            folder, facts = self.context.folder / OF_RUN, self.state.progress.facts(score)
            publish(folder, self.state.model, self.context.config, facts, self.state.parent)
