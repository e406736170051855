"""Muon (Jordan et al. 2024) for the kernels of a network, all of one shape in one product."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from cplxsep.config import OptimConfig

# torch's "match_rms_adamw" makes updates of RMS 0.2 lr; AdamW's early ones have lr.
LR = 5.0


class Muon(torch.optim.Muon):
    """Muon, which makes the momentum of a matrix orthogonal.

    Each part of a complex kernel (out, in, k, k) is one matrix (out, in*k*k), which shares its
    memory. Its learning rate is `LR` times that of AdamW. Its state is that of
    torch.optim.Muon, and its numbers but for the precision of products.
    """

    def __init__(self, kernels: list[nn.Parameter], config: OptimConfig) -> None:
        matrices = [nn.Parameter(kernel.detach().flatten(1)) for kernel in kernels]
        super().__init__(
            matrices,
            lr=LR * config.lr,
            weight_decay=config.weight_decay / LR,
            momentum=config.momentum,
            adjust_lr_fn="match_rms_adamw",
        )
        self._kernels = kernels

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002
        """Forget the gradients of the kernels."""
        for kernel in self._kernels:
            kernel.grad = None

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update from the gradients of the kernels."""
        self.update(self.param_groups[0]["lr"])

    @torch.no_grad()
    def update(self, rate: float | Tensor, fine: Tensor | None = None) -> None:
        """One update of those kernels that have a gradient.

        Args:
            rate: of learning; a scalar on the device if it is a tensor.
            fine: as a scalar there, 1, or 0 where nothing may change; None is 1.
        """
        share = rate if fine is None else rate * fine
        decay = 1 - share * self.param_groups[0]["weight_decay"]
        for own, grads in self._shapes():
            found = self._orthogonal(self._followed(own, grads, fine)).float()
            found *= share * (-0.2 * math.sqrt(max(own[0].shape)))  # "match_rms_adamw"
            torch._foreach_mul_(own, decay)
            torch._foreach_add_(own, found.unbind())

    def _shapes(self) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
        """The matrices of each shape that have gradients, and these."""
        found: dict[torch.Size, tuple[list[Tensor], list[Tensor]]] = {}
        for kernel, matrix in zip(self._kernels, self.param_groups[0]["params"], strict=True):
            if kernel.grad is not None:
                own, grads = found.setdefault(matrix.shape, ([], []))
                own.append(matrix)
                grads.append(kernel.grad.flatten(1))
        return iter(found.values())

    def _followed(self, own: list[Tensor], grads: list[Tensor], fine: Tensor | None) -> Tensor:
        """What is made orthogonal (n, rows, columns), after the momentum has followed."""
        group = self.param_groups[0]
        given, weight = torch.stack(grads), 1 - group["momentum"]
        if fine is not None:
            given = torch.where(fine > 0, given, 0)  # a NaN would stay one at any weight
            weight = fine * weight
        momenta = [self._momentum(matrix) for matrix in own]
        momentum = torch.stack(momenta).lerp_(given, weight)
        torch._foreach_copy_(momenta, momentum.unbind())
        return given.lerp(momentum, group["momentum"]) if group["nesterov"] else momentum

    def _momentum(self, matrix: Tensor) -> Tensor:
        """What a step or a checkpoint has left, or zeros."""
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        return state["momentum_buffer"]

    def _orthogonal(self, matrices: Tensor) -> Tensor:
        """The nearest orthogonal matrices, about, by Newton-Schulz steps.

        On a GPU in bfloat16. On CPUs that is slower, on those without such products 16 times.
        """
        group = self.param_groups[0]
        a, b, c = group["ns_coefficients"]
        tall = matrices.shape[1] > matrices.shape[2]
        found = matrices.bfloat16() if matrices.is_cuda else matrices
        found = (found.mT if tall else found).contiguous()
        size = torch.linalg.vector_norm(found, dim=(1, 2), keepdim=True)
        found = found / size.clamp(min=group["eps"])
        for _ in range(group["ns_steps"]):
            gram = found @ found.mT
            found = torch.baddbmm(
                found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a
            )
        return found.mT if tall else found
