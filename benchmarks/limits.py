"""What a machine can do at most, measured, and how much of it a network's products need."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from cplxsep.networks.model import SeparationModel

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}
REPEATS = 7


@dataclass(frozen=True)
class Limits:
    """Rate of multiplying matrices in flop/s by precision, and of copying memory in bytes/s."""

    matrix: dict[str, float]
    memory: float


@dataclass(frozen=True)
class Demand:
    """Work of a network on one chunk: flop, and elements that its products read and write."""

    flop: float
    elements: float

    def least_seconds(self, limits: Limits, precision: str) -> tuple[float, str]:
        """The time that the machine needs at least, and what binds: "matrix" or "memory".

        Everything between two products is taken to cost nothing, as if fused into them.
        """
        size = DTYPES[precision].itemsize
        matrix = self.flop / limits.matrix[precision]
        memory = self.elements * size / limits.memory
        return max((matrix, "matrix"), (memory, "memory"))


def measure_limits(device: str, precisions: tuple[str, ...], quick: bool = False) -> Limits:
    """The best rates seen: products of large matrices, wide convolutions, large copies.

    quick: with what is too small to be the best.
    """
    on_gpu = torch.device(device).type == "cuda"
    sides, maps = ((8192, 16384), (64, 256, 128)) if on_gpu else ((2048, 4096), (4, 256, 64))
    values = 2**28 if on_gpu else 2**26
    if quick:
        sides, maps, values = (256,), (1, 32, 32), 2**20
    memory = _copying(values, device)
    # The engine's float32 is exact; so must be the limit that it is held against.
    torch.backends.cuda.matmul.allow_tf32 = False
    with torch.backends.cudnn.flags(True, benchmark=True, allow_tf32=False):
        matrix = {
            name: max(_product(side, DTYPES[name], device) for side in sides) for name in precisions
        }
        for name in set(precisions) - {"int8"}:  # PyTorch convolves no bytes
            matrix[name] = max(matrix[name], _convolution(*maps, DTYPES[name], device))
    return Limits(matrix, memory)


def _copying(values: int, device: str) -> float:
    given = torch.ones(values, device=device)
    taken = torch.empty_like(given)
    return 2 * given.nbytes / _time(lambda: taken.copy_(given), device)


def _product(side: int, dtype: torch.dtype, device: str) -> float:
    if dtype == torch.int8:
        a, b = torch.randint(-127, 128, (2, side, side), dtype=dtype, device=device)
        return 2 * side**3 / _time(lambda: torch._int_mm(a, b), device)
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    return 2 * side**3 / _time(lambda: a @ b, device)


def _convolution(batch: int, channels: int, side: int, dtype: torch.dtype, device: str) -> float:
    maps = torch.randn(batch, channels, side, side, device=device).to(dtype)
    kernel = torch.randn(channels, channels, 3, 3, device=device).to(dtype)
    maps = maps.contiguous(memory_format=torch.channels_last)
    flop = 2 * 9 * channels * maps.numel()
    return flop / _time(lambda: F.conv2d(maps, kernel, padding=1), device)


def _time(work: Callable[[], Tensor], device: str) -> float:
    """Seconds of the quickest of a few runs."""
    times = []
    for _ in range(REPEATS):
        _wait(device)
        begun = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - begun)
    return min(times)


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


class _Products(TorchDispatchMode):
    """Counts what passes through convolutions and matrix products."""

    def __init__(self) -> None:
        super().__init__()
        self.flop = self.elements = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.flop += count(*args, **(kwargs or {}), out_val=found)
            # Maps before and after; the smaller factor, weights, stays in a cache.
            maps = max(arg.numel() for arg in args if isinstance(arg, Tensor))
            self.elements += maps + found.numel()
        return found


@torch.no_grad()
def demand(model: SeparationModel, samples: int) -> Demand:
    """What one chunk of `samples` asks of the machine: found by running the model as it stands."""
    place = next(model.parameters()).device
    with _Products() as products:
        model(torch.randn(1, samples, device=place))
    return Demand(products.flop, products.elements)
