"""Learning rate as a function of the step."""

import math

from cplxsep.config import OptimConfig, TrainConfig

# Learning rate up to an epoch, 1e-4 after the last: the paper's text (section A.4), and the
# published code, which drops at epoch 100 too (SPEC section 7.6).
_EPOCHS = {
    "paper": ((10, 0.01), (120, 0.1), (150, 0.01), (200, 1e-3)),
    "paper-code": ((10, 0.01), (100, 0.1), (120, 0.01), (150, 1e-3)),
}


def lr_at(step: int, optim: OptimConfig, train: TrainConfig) -> float:
    """Learning rate for the 0-based `step`."""
    if optim.schedule in _EPOCHS:
        epoch = step // train.epoch_steps
        return next((lr for until, lr in _EPOCHS[optim.schedule] if epoch < until), 1e-4)
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
