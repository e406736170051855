"""Muon for matrices of more than two dimensions."""

from torch import nn, optim

from cplxsep.config import OptimConfig

# torch's "match_rms_adamw" makes updates of RMS 0.2 lr; AdamW's early ones have lr.
LR_SCALE = 5.0


class Muon(optim.Muon):
    """Muon (Jordan et al. 2024), which makes the momentum of a matrix orthogonal.

    Each part of a complex kernel (out, in, k, k) is one matrix (out, in*k*k), which shares its
    memory. Its learning rate is `LR_SCALE` times that of AdamW.
    """

    def __init__(self, kernels: list[nn.Parameter], config: OptimConfig) -> None:
        self._kernels = kernels
        self._matrices = [nn.Parameter(kernel.detach().flatten(1)) for kernel in kernels]
        super().__init__(
            self._matrices,
            lr=LR_SCALE * config.lr,
            weight_decay=config.weight_decay / LR_SCALE,
            momentum=config.momentum,
            adjust_lr_fn="match_rms_adamw",
        )

    def zero_grad(self, set_to_none: bool = True) -> None:  # noqa: ARG002
        """Forget the gradients of the kernels."""
        for kernel in self._kernels:
            kernel.grad = None

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update from the gradients of the kernels."""
        for kernel, matrix in zip(self._kernels, self._matrices, strict=True):
            matrix.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        super().step()
