"""Several processes that train one model, as torchrun starts them; without it, one.

DistributedDataParallel averages the gradients while the backward pass goes on. It wraps the
forward pass alone: optimisers, averages and checkpoints see the model itself, under its own names.
"""

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from cplxsep.errors import CplxsepError, InputError, UsageError
from cplxsep.nn.device import pick_device

T = TypeVar("T")
# The others wait while the first decodes the speech.
_TIMEOUT = timedelta(hours=4)
_TORCHRUN = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Ranks:
    """This process among `count`; the first writes files and prints."""

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def share(self, batch: int, parts: int = 1) -> range:
        """Which items of a global batch are this process's.

        Raises:
            UsageError: they cannot be dealt out evenly, each share in `parts` of one size.
        """
        if batch % (self.count * parts):
            raise UsageError(
                f"train.batch = {batch} must be a multiple of {self.count} processes x "
                f"train.accumulate = {parts}"
            )
        size = batch // self.count
        return range(self.rank * size, (self.rank + 1) * size)

    def parallel(self, forward: nn.Module) -> nn.Module:
        """The same module, whose backward passes leave the mean gradient of all processes."""
        if self.count == 1:
            return forward
        # Gradients of convolutions have an order of their own; to copy them costs nothing here.
        warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        # `broadcast` has brought all to the same start.
        parallel = DistributedDataParallel(forward, gradient_as_bucket_view=True, init_sync=False)
        # The option of this name is deprecated in newer torch, its successor missing in older.
        parallel.broadcast_buffers = False
        return parallel

    def alone(self, forward: nn.Module) -> AbstractContextManager[None]:
        """While entered, backward passes of a `parallel` module add to this process's gradient."""
        if isinstance(forward, DistributedDataParallel):
            return forward.no_sync()
        return nullcontext()

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each float32 tensor by its mean over all processes, in one message."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def total(self, tensor: Tensor) -> Tensor:
        """Sum over all processes, through which gradients flow back to each."""
        return tensor if self.count == 1 else all_reduce(tensor)

    def sum(self, value: float) -> float:
        """Sum over all processes, the same on each."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item()

    def largest(self, value: int) -> int:
        """The largest value of all processes, the same on each."""
        if self.count == 1:
            return value
        found = torch.tensor(value, device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found.item())

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, in all; the others end when it fails there."""
        if self.count == 1:
            return make()
        answer: list[Any] = [None, None]
        failure: CplxsepError | None = None
        if self.first:
            try:
                answer[0] = make()
            except CplxsepError as error:
                failure, answer[1] = error, error.exit_code
        dist.broadcast_object_list(answer, device=self.device)
        if failure is not None:
            raise failure
        if answer[1] is not None:
            raise SystemExit(answer[1])
        return answer[0]

    def one_after_first(self, make: Callable[[], T]) -> T:
        """What `make` gives here; the others call it when the first has left its files."""
        if self.count == 1:
            return make()
        made: list[T] = []
        self.from_first(lambda: made.append(make()))
        return made[0] if self.first else make()

    def barrier(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            dist.barrier()

    @torch.no_grad()
    def broadcast(self, model: nn.Module) -> None:
        """Give all processes the first one's parameters and buffers."""
        if self.count > 1:
            for tensor in [*model.parameters(), *model.buffers()]:
                dist.broadcast(tensor, 0)


def peer_lost(error: Exception) -> bool:
    """Whether an error means that another process has ended: what NCCL and gloo raise then."""
    return isinstance(error, dist.DistError) or "gloo" in str(error)


@contextmanager
def join(device: str) -> Iterator[Ranks]:
    """This process's place among those that torchrun started, each on its own device.

    Raises:
        UsageError: the environment has a part only of what torchrun sets, or the device is unknown.
        DeviceError: the device is not there.
        InputError: another process ended.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield Ranks(device=pick_device(device))
        return
    if missing := [name for name in _TORCHRUN if name not in os.environ]:
        raise UsageError(
            f"WORLD_SIZE is set but not {missing[0]}: start several processes with torchrun, or "
            f"unset WORLD_SIZE for one"
        )
    local = os.environ["LOCAL_RANK"]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda:"):
        raise UsageError(f"--device {device}: under torchrun, cuda gives each process its own")
    picked = pick_device(f"cuda:{local}" if device == "cuda" else device)
    if picked.type == "cuda":
        torch.cuda.set_device(picked)
    ours = not dist.is_initialized()
    if ours:
        dist.init_process_group("nccl" if picked.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), picked)
    except RuntimeError as error:
        if peer_lost(error):
            raise InputError("another process ended") from error
        raise
    if ours:
        # Only where all went well: after an error the others may wait in vain.
        dist.destroy_process_group()
