"""Optimisers and running average of a run, updated on the device alone, as a graph can hold them.

What changes from step to step, learning rates and the average's weight, are tensors there. States
are those of the optimisers and stay where they are: a step without a graph may follow, and a
checkpoint is the same.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cplxsep.training.muon import Muon
from cplxsep.training.optim import Optimizers
from cplxsep.training.state import RunState


def have_forms(optimizers: Optimizers) -> bool:
    """Whether the updates of these can be made on the device alone."""
    return set(optimizers.parts) <= {"muon", "adamw"}


class Updates:
    """The updates of a run after its gradients. `lr` goes to each group times its factor."""

    def __init__(self, state: RunState, clip: float) -> None:
        self.state = state
        self.clip = clip
        self.parameters = [p for p in state.model.parameters() if p.requires_grad]
        self.device = self.parameters[0].device
        # Those of a checkpoint: others stay.
        names = {name for name, _ in state.model.named_buffers()} & set(state.model.state_dict())
        self._buffers = [state.model.get_buffer(name) for name in sorted(names)]
        parts = state.optimizers.parts
        self.rates = {
            name: [self._scalar() for _ in part.param_groups] for name, part in parts.items()
        }
        self.weight = self._scalar()  # of the model in the average

    def prepare(self, lr: float, step: int) -> None:
        """Set what the next updates, of a 0-based step, go by."""
        self.state.optimizers.set_lr(lr)
        for name, part in self.state.optimizers.parts.items():
            for group, rate in zip(part.param_groups, self.rates[name], strict=True):
                rate.fill_(group["lr"])
        self.weight.fill_(self.state.average.weight(step))

    def buffers(self) -> list[Tensor]:
        """Copies of the model's buffers, of before the forward pass."""
        return [buffer.clone() for buffer in self._buffers]

    def __call__(
        self, loss: Tensor, grads: Sequence[Tensor | None], before: list[Tensor], live: Tensor
    ) -> Tensor:
        """Update all; nothing changes where loss or norm is not finite, or `live` is 0 and not 1.

        Buffers are then as `before`. Returns the gradients' norm.
        """
        for parameter, grad in zip(self.parameters, _owned(grads, self.parameters), strict=True):
            parameter.grad = grad
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        fine = (torch.isfinite(loss) & torch.isfinite(norm)).float() * live
        with self._capturable(1 - fine):
            for name, part in self.state.optimizers.parts.items():
                if isinstance(part, Muon):
                    part.update(self.rates[name][0], fine)
                else:
                    part.step()
        for buffer, old in zip(self._buffers, before, strict=True):
            buffer.copy_(torch.where(fine > 0, buffer, old))
        self.state.average.follow(self.state.model, self.weight * fine)
        for parameter in self.parameters:
            parameter.grad = None
        return norm

    @contextmanager
    def _capturable(self, bad: Tensor) -> Iterator[None]:
        """AdamW in the form that a graph holds, which leaves out a `bad` step on the device.

        Its options are as before when this ends: they are part of a checkpoint.
        """
        part = self.state.optimizers.parts.get("adamw")
        if part is None:
            yield
            return
        before = [(group["lr"], group["capturable"]) for group in part.param_groups]
        for group, rate in zip(part.param_groups, self.rates["adamw"], strict=True):
            group["lr"], group["capturable"] = rate, True
        part.found_inf = bad  # type: ignore[attr-defined]
        # Or it would warn of runs before a capture.
        part._warned_capturable_if_run_uncaptured = True
        try:
            yield
        finally:
            del part.found_inf  # type: ignore[attr-defined]
            for group, (lr, capturable) in zip(part.param_groups, before, strict=True):
                group["lr"], group["capturable"] = lr, capturable

    def _scalar(self) -> Tensor:
        return torch.zeros((), device=self.device)


def _owned(grads: Sequence[Tensor | None], parameters: Sequence[Tensor]) -> Iterator[Tensor | None]:
    """Gradients that nothing else shares, laid out as their parameters, as optimisers expect."""
    seen = set()
    for grad, parameter in zip(grads, parameters, strict=True):
        if grad is None:
            yield None
            continue
        grad = grad.to(parameter.dtype)
        if grad.stride() != parameter.stride() or grad.data_ptr() in seen:
            grad = torch.empty_like(parameter).copy_(grad)
        seen.add(grad.data_ptr())
        yield grad
