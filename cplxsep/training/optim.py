"""Optimisers by name."""

import importlib
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from cplxsep.config import OptimConfig
from cplxsep.errors import UsageError
from cplxsep.training.complex_adam import ComplexAdamW
from cplxsep.training.matrices import matrices
from cplxsep.training.muon import Muon

# Optimisers of packages that are not always there.
_PACKAGES = {"schedulefree": "schedulefree", "prodigy": "prodigyopt"}

# What a configuration says of each group; torch keeps them with the state too.
_OPTIONS = ("weight_decay", "betas", "momentum", "nesterov")


def build_optimizer(model: nn.Module, config: OptimConfig) -> Optimizer | Muon:
    """The optimiser of a configuration; weight decay only of matrices.

    Raises:
        UsageError: its package is not installed, or the network has nothing for it.
    """
    kernels, others = matrices(model.named_parameters())
    # Decay is given by group: Prodigy prints a line where it is among the defaults.
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        # The paper decays everything alike (SPEC section 6).
        return torch.optim.SGD(
            kernels + others,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            weight_decay=config.weight_decay,
        )
    if config.optimizer == "muon":
        return Muon(kernels, others, config)
    if config.optimizer == "complex-adamw":
        if not any(name.endswith("weight_imag") for name, _ in model.named_parameters()):
            raise UsageError("optim.optimizer = 'complex-adamw' needs a complex network")
        return ComplexAdamW(model, config.lr, config.betas, config.weight_decay)
    if config.optimizer == "schedulefree":
        return package(config).AdamWScheduleFree(groups, lr=config.lr, betas=config.betas)
    if config.optimizer == "prodigy":
        return package(config).Prodigy(
            groups,
            lr=config.lr,
            betas=config.betas,
            use_bias_correction=True,
            safeguard_warmup=True,
        )
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)


def package(config: OptimConfig) -> Any:
    """The package of an optimiser that has its own. Raises UsageError when it is missing."""
    name = _PACKAGES.get(config.optimizer)
    if name is None:
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(
            f"optim.optimizer = '{config.optimizer}' needs the package {name}: "
            f"pip install 'cplxsep[train]'"
        ) from None


def restore(optimizer: Optimizer | Muon, state: dict[str, Any]) -> None:
    """Continue from a state, but with the options that the optimiser was built with."""
    if isinstance(optimizer, Muon):
        for name, part in optimizer.parts.items():
            restore(part, state[name])
        return
    options = [
        {key: group[key] for key in _OPTIONS if key in group} for group in optimizer.param_groups
    ]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, options, strict=True):
        group.update(own)


def set_lr(optimizer: Optimizer | Muon, lr: float) -> None:
    """Use `lr` in the next step, in all groups."""
    if isinstance(optimizer, Muon):
        optimizer.set_lr(lr)
        return
    for group in optimizer.param_groups:
        group["lr"] = lr


def set_mode(optimizer: Optimizer | Muon, *, training: bool) -> None:
    """Bring schedule-free weights to where they train, or to their average, which is used."""
    switch = getattr(optimizer, "train" if training else "eval", None)
    if switch is not None:
        switch()
