"""Calls functions of native libraries on tensors."""

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

NAMES = {torch.float32: "float", torch.bfloat16: "bf16", torch.int8: "int8"}


def call(
    library: ctypes.CDLL, name: str, tensors: Sequence[Tensor | None], sizes: Sequence[int]
) -> None:
    """Call the form of a function for the first tensor's type: memory, sizes, number of threads.

    Tensors must be contiguous, of the types and sizes that the function takes; None is no memory.
    """
    first = tensors[0]
    assert first is not None
    getattr(library, f"{name}_{NAMES[first.dtype]}")(
        *(ctypes.c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in tensors),
        *map(ctypes.c_int64, sizes),
        ctypes.c_int(torch.get_num_threads()),
    )
