"""Learning rate as a function of the step, or of the share of a run that is done."""

import math

from cplxsep.config import OptimConfig, TrainConfig
from cplxsep.training.progress import Progress

# Learning rate up to an epoch, 1e-4 after the last: the paper's text (section A.4), and the
# published code, which drops at epoch 100 too (SPEC section 7.6).
_EPOCHS = {
    "paper": ((10, 0.01), (120, 0.1), (150, 0.01), (200, 1e-3)),
    "paper-code": ((10, 0.01), (100, 0.1), (120, 0.01), (150, 1e-3)),
}


def share_done(step: int, busy: float, train: TrainConfig) -> float:
    """How much of a run is done after `step` steps in `busy` seconds: 1 is all of it."""
    by_steps = step / train.steps
    return max(by_steps, busy / (60 * train.minutes)) if train.minutes else by_steps


def ends_at_deadline(optim: OptimConfig, train: TrainConfig, deadline: float) -> bool:
    """Whether a rate by shares of the run has its decay end where `train --max-minutes` stops.

    Not where `train.minutes` says how long the run is as a whole: then that is a piece of it.
    deadline: of the monotonic clock, infinite where there is none.
    """
    return math.isfinite(deadline) and optim.schedule == "trapezoid" and not train.minutes


def is_over(progress: Progress, train: TrainConfig) -> bool:
    """Whether a run has had its steps, or its minutes."""
    return share_done(progress.step, progress.busy, train) >= 1


def lr_at(
    step: int, optim: OptimConfig, train: TrainConfig, busy: float = 0.0, elapsed: float = 0.0
) -> float:
    """Learning rate for the 0-based `step`, before which training took `busy` seconds.

    elapsed: share of the time for steps, where the decay is to end at the deadline; or 0.
    """
    if optim.schedule in _EPOCHS:
        epoch = step // train.epoch_steps
        return next((lr for until, lr in _EPOCHS[optim.schedule] if epoch < until), 1e-4)
    if optim.schedule == "trapezoid":
        share = max(share_done(step + 1, busy, train), elapsed)
        warm = min(1.0, share / max(optim.warmup_share, 1e-9))
        left = min(1.0, max(0.0, (1 - share) / optim.decay_share))
        return optim.lr * warm * (optim.final_lr + (1 - optim.final_lr) * left)
    warm = min(1.0, (step + 1) / max(optim.warmup_steps, 1))
    if optim.schedule == "constant":
        return optim.lr * warm
    if optim.schedule == "linear-decay":
        left = (train.steps - step) / max(optim.decay_steps, 1)
        return optim.lr * warm * (optim.final_lr + (1 - optim.final_lr) * min(1.0, max(left, 0.0)))
    length = max(train.steps - optim.warmup_steps, 1)
    done = min(1.0, max(0.0, (step - optim.warmup_steps) / length))
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return optim.lr * warm * (optim.final_lr + (1 - optim.final_lr) * cosine)
