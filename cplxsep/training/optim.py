"""Optimisers by name."""

import torch
from torch import nn
from torch.optim import Optimizer

from cplxsep.config import OptimConfig


def build_optimizer(model: nn.Module, config: OptimConfig) -> Optimizer:
    """The optimiser of a configuration; weight decay only where there is a kernel to decay."""
    kernels = [p for p in model.parameters() if p.dim() > 2]
    others = [p for p in model.parameters() if p.dim() <= 2]
    if config.optimizer == "sgd":
        # The paper decays everything alike (SPEC section 6).
        return torch.optim.SGD(
            [*kernels, *others],
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            weight_decay=config.weight_decay,
        )
    groups = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        groups, lr=config.lr, betas=config.betas, weight_decay=config.weight_decay, fused=True
    )


def set_lr(optimizer: Optimizer, lr: float) -> None:
    """Use `lr` in the next step, in all groups."""
    for group in optimizer.param_groups:
        group["lr"] = lr
