"""Which operators run as native code in this process: asked for once, before long work.

Everything has a statement in plain PyTorch, which runs wherever nothing faster was enabled. Work
under way never changes its form: results would change within it.
"""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import torch

from cplxsep.nn import passes
from cplxsep.nn.native import build

# The libraries of the operators that training and inference share.
OPERATORS = ("recurrence", "position_norm")
_enabled: dict[str, ctypes.CDLL] = {}


def enable(device: str) -> str | None:
    """Use compiled code on "cpu" or "cuda" from now on; why not, in one line, if it cannot be.

    Costs seconds the first time: training asks for it.
    """
    if device == "cpu":
        try:
            enable_operators()
        except build.NoCompilerError as error:
            return str(error)
    return passes.enable(device)


def enable_operators() -> None:
    """Use native code for the operators on a CPU from now on. Raises NoCompilerError."""
    with ThreadPoolExecutor() as pool:
        libraries = list(pool.map(build.library, OPERATORS))
    _enabled.update(zip(OPERATORS, libraries, strict=True))


def disable() -> None:
    """Run everything eagerly again."""
    _enabled.clear()
    passes.disable()


def native(name: str, like: torch.Tensor) -> ctypes.CDLL | None:
    """The library of an operator for such maps, if it is enabled and knows their type."""
    fits = like.device.type == "cpu" and like.dtype in (torch.float32, torch.bfloat16)
    return _enabled.get(name) if fits and like.numel() else None
