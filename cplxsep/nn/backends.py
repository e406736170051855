"""Which form of an operator runs: chosen here, for training and inference alike.

An operator has a room, a folder beside this file: in it, what is computed is stated in plain
PyTorch, which runs everywhere and is the oracle of the tests, and beside it lie its other forms:
native code for a CPU, Triton's or torch.compile's for a GPU. A call asks its operator for the form
that fits the maps at hand.

Native code and torch.compile take seconds before their first use. So they are asked for, once,
before long work (`enable`): work under way never changes its form, since results would change
within it, unless a compiler fails.

A kernel, here and everywhere else, is the array of weights that a convolution slides over maps.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ctypes import CDLL
from functools import cache
from typing import Generic, TypeVar

import torch
from torch import Tensor

from cplxsep.nn.native import build
from cplxsep.nn.native.call import NAMES

Form = TypeVar("Form")

_operators: list["Operator"] = []


class Operator(Generic[Form]):
    """One operator, and its forms.

    Args:
        name: of its room, and so of its native library.
        statement: works on every device and in every type; None: the caller states it itself.
        native: makes the form for float32 and bfloat16 on a CPU, given the library.
        triton: imports the form for a GPU, for every type but float64.
        compiled: makes torch.compile's form for a GPU, which compiles when it is first called.
        training: whether training needs it; otherwise only inference forms of networks do.
    """

    def __init__(
        self,
        name: str,
        statement: Form,
        native: Callable[[CDLL], Form],
        *,
        triton: Callable[[], Form] | None = None,
        compiled: Callable[[], Form] | None = None,
        training: bool = True,
    ) -> None:
        self.name, self.statement, self.training = name, statement, training
        self._native, self._triton, self._compiled = native, triton, compiled
        self._enabled: dict[str, Form] = {}  # by type of device
        _operators.append(self)

    def form(self, maps: Tensor) -> Form:
        """The fastest form there is for such maps."""
        return self.on(maps.device, maps.dtype) if maps.numel() else self.statement

    def on(self, device: torch.device, dtype: torch.dtype) -> Form:
        """The fastest form there is for maps of a type on a device."""
        if device.type in self._enabled and (device.type != "cpu" or dtype in NAMES):
            return self._enabled[device.type]
        on_gpu = device.type == "cuda" and dtype != torch.float64
        if self._triton is not None and on_gpu and triton_works(device):
            return self._triton()
        return self.statement

    def enable(self, device: str) -> None:
        """Use what takes seconds to make on "cpu" or "cuda". Raises what is in the way."""
        if device == "cpu":
            self._enabled[device] = self._native(build.library(self.name))
        elif self._compiled is not None:
            self._enabled[device] = self._compiled()


def enable(device: str) -> str | None:
    """Use the fastest forms of all operators on "cpu" or "cuda" from now on, as training does.

    Returns why that cannot be, in one line, or None.
    """
    wanted = [operator for operator in _operators if operator.training]
    if device == "cpu":
        try:
            enable_native(*wanted)
        except build.NoCompilerError as error:
            return str(error)
        return None
    for operator in wanted:
        operator.enable(device)
    return None


def enable_native(*operators: Operator) -> None:
    """Use native code for these on a CPU, or for none of them. Raises NoCompilerError."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(build.library, (operator.name for operator in operators)))
    for operator in operators:
        operator.enable("cpu")


def disable() -> None:
    """Make no use any more of what had to be enabled."""
    for operator in _operators:
        operator._enabled.clear()


@cache
def triton_works(device: torch.device) -> bool:
    """Whether a CUDA device runs what Triton makes. The first call tries it out."""
    try:
        from cplxsep.nn.triton_trial import trial

        trial(device)
    except Exception:  # not installed, no host compiler, an unsupported GPU
        return False
    return True
