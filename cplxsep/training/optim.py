"""The optimisers of a run: by their name in the configuration, and together as one."""

import importlib
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from cplxsep.config import OptimConfig
from cplxsep.errors import UsageError
from cplxsep.training import muon
from cplxsep.training.complex_adam import ComplexAdamW
from cplxsep.training.matrices import matrices

# Optimisers of packages that are not always there.
_PACKAGES = {"schedulefree": "schedulefree", "prodigy": "prodigyopt"}

# What a configuration says of each group; torch keeps them with the state too.
_OPTIONS = ("weight_decay", "betas", "momentum", "nesterov")


class Optimizers:
    """Optimisers of one model that act as one, each on parameters of its own.

    Args:
        parts: the optimisers, by name.
        scales: by the same name, a factor of the learning rate for each group; 1 where not given.
    """

    def __init__(
        self, parts: dict[str, Optimizer], scales: dict[str, list[float]] | None = None
    ) -> None:
        self.parts = parts
        self._scales = {name: [1.0] * len(part.param_groups) for name, part in parts.items()}
        self._scales |= scales or {}

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self.parts.values():
            part.zero_grad()

    def step(self) -> None:
        """One update of all parameters."""
        for part in self.parts.values():
            part.step()

    def set_lr(self, lr: float) -> None:
        """Use `lr`, times the factor of each group, in the next step."""
        for name, part in self.parts.items():
            for group, scale in zip(part.param_groups, self._scales[name], strict=True):
                group["lr"] = scale * lr

    def set_mode(self, *, training: bool) -> None:
        """Bring schedule-free weights to where they train, or to their average, which is used."""
        for part in self.parts.values():
            switch = getattr(part, "train" if training else "eval", None)
            if switch is not None:
                switch()

    def state_dict(self) -> dict[str, Any]:
        """States of the parts by name; of a single one its own."""
        states = {name: part.state_dict() for name, part in self.parts.items()}
        return states if len(states) > 1 else next(iter(states.values()))

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state, but with the options that the optimisers were built with."""
        for name, part in self.parts.items():
            options = [
                {key: group[key] for key in _OPTIONS if key in group} for group in part.param_groups
            ]
            part.load_state_dict(state[name] if len(self.parts) > 1 else state)
            for group, own in zip(part.param_groups, options, strict=True):
                group.update(own)


def build_optimizers(model: nn.Module, config: OptimConfig) -> Optimizers:
    """The optimisers of a configuration; weight decay only of matrices.

    Of a model that is trained in part, the other parameters ask for no gradients from then on.

    Raises:
        UsageError: their package is not installed, or the network has nothing for them, or no such
            parts as are to be trained.
    """
    if config.only:
        _leave_others(model, config.only)
    named = [(name, part) for name, part in model.named_parameters() if part.requires_grad]
    kernels, others = matrices(named)
    # Decay is given by group: Prodigy prints a line where it is among the defaults.
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    common: dict[str, Any] = {"lr": config.lr, "betas": config.betas}
    part: Optimizer
    if config.optimizer == "muon":
        parts: dict[str, Optimizer] = {}
        if kernels:
            parts["muon"] = muon.Muon(kernels, config)
        if others:
            parts["adamw"] = torch.optim.AdamW(others, weight_decay=0.0, fused=True, **common)
        return Optimizers(parts, {"muon": [muon.LR]})
    if config.optimizer == "sgd":
        # The paper decays everything alike (SPEC section 6).
        part = torch.optim.SGD(
            kernels + others,
            lr=config.lr,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            weight_decay=config.weight_decay,
        )
    elif config.optimizer == "complex-adamw":
        if not any(name.endswith("weight_imag") for name, _ in named):
            raise UsageError("optim.optimizer = 'complex-adamw' needs a complex network")
        part = ComplexAdamW(named, weight_decay=config.weight_decay, **common)
    elif config.optimizer == "schedulefree":
        part = import_package(config).AdamWScheduleFree(groups, **common)
    elif config.optimizer == "prodigy":
        options = {"use_bias_correction": True, "safeguard_warmup": True}
        part = import_package(config).Prodigy(groups, **common, **options)
    else:
        part = torch.optim.AdamW(groups, fused=True, **common)
    return Optimizers({config.optimizer: part})


def _leave_others(model: nn.Module, only: tuple[str, ...]) -> None:
    """Leave parameters of other parts of a model's network out of training.

    Raises UsageError where there is no such part.
    """
    places = [f"network.{part}." for part in only]
    for part, place in zip(only, places, strict=True):
        if not any(f"{name}.".startswith(place) for name, _ in model.named_parameters()):
            known = {name.split(".")[1]: None for name, _ in model.named_parameters()}
            raise UsageError(
                f"optim.only: the network has no part '{part}'; it has: {', '.join(known)}"
            )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(f"{name}.".startswith(tuple(places)))


def import_package(config: OptimConfig) -> Any:
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
