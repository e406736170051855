"""Muon for matrices, AdamW for the rest, as one optimiser."""

from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from cplxsep.config import OptimConfig

# torch.optim.Muon's "match_rms_adamw" makes updates of RMS 0.2 lr; AdamW's early ones have lr.
_SCALE = 5.0


class Muon:
    """Muon for matrices (Jordan et al. 2024), AdamW for norms and biases, as one optimiser.

    Muon replaces the momentum of a matrix by its nearest orthogonal matrix. Each part of a
    complex kernel (out, in, k, k) is one matrix (out, in*k*k).
    """

    def __init__(
        self, kernels: list[nn.Parameter], others: list[nn.Parameter], config: OptimConfig
    ) -> None:
        self._kernels = kernels
        self._matrices = [nn.Parameter(kernel.detach().flatten(1)) for kernel in kernels]
        self._muon = torch.optim.Muon(
            self._matrices,
            lr=_SCALE * config.lr,
            weight_decay=config.weight_decay / _SCALE,
            momentum=config.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        self._adamw = torch.optim.AdamW(
            others, lr=config.lr, betas=config.betas, weight_decay=0.0, fused=True
        )
        self.parts: dict[str, Optimizer] = {"muon": self._muon, "adamw": self._adamw}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients."""
        self._adamw.zero_grad(set_to_none)
        for kernel in self._kernels:
            kernel.grad = None

    def step(self) -> None:
        """One update from the gradients of the kernels and of the rest."""
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            # The matrix shares the kernel's memory; its gradient must be handed over.
            matrix.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        self._muon.step()
        self._adamw.step()

    def set_lr(self, lr: float) -> None:
        """Use `lr` in the next step."""
        for optimizer, factor in ((self.parts["muon"], _SCALE), (self.parts["adamw"], 1.0)):
            for group in optimizer.param_groups:
                group["lr"] = factor * lr

    def state_dict(self) -> dict[str, Any]:
        """States of both parts."""
        return {name: part.state_dict() for name, part in self.parts.items()}
