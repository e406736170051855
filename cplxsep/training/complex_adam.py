"""Adam that treats a complex weight as one number: an experiment."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cplxsep.training.matrices import matrices

_PARTS = (".weight_real", ".weight_imag")


class ComplexAdamW(Optimizer):
    """AdamW with one second moment, of |g|^2, for both parts of each complex kernel weight.

    Adam scales each real number by its own gradients, so that the step of a complex weight
    depends on the axes: turning all gradients by a phase turns its step by another. With the
    shared moment the step turns along (phase equivariance); its first one has modulus `lr`.
    Norms and biases get AdamW's steps without decay.

    Args:
        named: parameters by name; `weight_real` and `weight_imag` of one module belong together.
        lr, betas, eps, weight_decay: as AdamW's.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, nn.Parameter]],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        eps: float = 1e-8,
    ) -> None:
        named = [(f".{name}", parameter) for name, parameter in named]
        real, imag = ([p for name, p in named if name.endswith(part)] for part in _PARTS)
        kernels, others = matrices((name, p) for name, p in named if not name.endswith(_PARTS))
        paired = [part for pair in zip(real, imag, strict=True) for part in pair]
        groups: list[dict[str, Any]] = [
            {"params": paired, "paired": True},
            {"params": kernels, "paired": False},
            {"params": others, "paired": False, "weight_decay": 0.0},
        ]
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "step": 0}
        super().__init__([group for group in groups if group["params"]], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update of all parameters that have a gradient."""
        for group in self.param_groups:
            group["step"] += 1
            size = 2 if group["paired"] else 1
            members = group["params"]
            for first in range(0, len(members), size):
                numbers = [part for part in members[first : first + size] if part.grad is not None]
                if numbers:
                    self._update(numbers, group)

    def _update(self, parts: list[Tensor], group: dict[str, Any]) -> None:
        """Update the parts of one tensor of numbers with their common second moment."""
        beta1, beta2 = group["betas"]
        gradients = [part.grad for part in parts if part.grad is not None]
        owner = self.state[parts[0]]
        if "square" not in owner:
            owner["square"] = torch.zeros_like(parts[0])
        owner["square"].mul_(beta2)
        for gradient in gradients:
            owner["square"].addcmul_(gradient, gradient, value=1 - beta2)
        root = (owner["square"] / (1 - beta2 ** group["step"])).sqrt_().add_(group["eps"])
        for part, gradient in zip(parts, gradients, strict=True):
            state = self.state[part]
            if "mean" not in state:
                state["mean"] = torch.zeros_like(part)
            state["mean"].lerp_(gradient, 1 - beta1)
            part.mul_(1 - group["lr"] * group["weight_decay"])
            part.addcdiv_(state["mean"], root, value=-group["lr"] / (1 - beta1 ** group["step"]))
