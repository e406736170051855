"""The compiled passes of `cplxsep.nn.passes.Passes` for float32 and bfloat16 on a CPU."""

import ctypes

import torch
from torch import Tensor

from cplxsep.nn.native import build

_NAMES = {torch.float32: "float", torch.bfloat16: "bf16"}


class NativePasses:
    """Same functions and results as the eager passes, one sweep over memory each."""

    def __init__(self) -> None:
        self._library = build.library("norm")

    def fits(self, rows: Tensor) -> bool:
        """Whether these passes can work on such rows (B, P, 2C)."""
        return rows.device.type == "cpu" and rows.dtype in _NAMES and rows.is_contiguous()

    def moments(self, rows: Tensor, shift: Tensor) -> Tensor:
        sums = self._empty(5, rows)
        self._call("moments", rows, shift, sums, shape=rows)
        return sums / rows.shape[1]

    def transform(self, rows: Tensor, matrix: Tensor, offset: Tensor, relu: bool) -> Tensor:
        out = torch.empty_like(rows)
        self._call("apply", rows, matrix, offset, out, shape=rows, relu=relu)
        return out

    def grad_sums(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, shift: Tensor, relu: bool
    ) -> Tensor:
        sums = self._empty(6, rows)
        self._call("grad_sums", rows, grad, matrix, offset, shift, sums, shape=rows, relu=relu)
        return sums

    def grad_input(
        self, rows: Tensor, grad: Tensor, matrix: Tensor, offset: Tensor, back: Tensor, relu: bool
    ) -> Tensor:
        out = torch.empty_like(rows)
        self._call("grad_input", rows, grad, matrix, offset, back, out, shape=rows, relu=relu)
        return out

    @staticmethod
    def _empty(kinds: int, rows: Tensor) -> Tensor:
        return torch.empty(kinds, rows.shape[0], rows.shape[2] // 2)

    def _call(self, name: str, *tensors: Tensor, shape: Tensor, relu: bool | None = None) -> None:
        # Kept in a list until the call returns: a contiguous copy must outlive its pointer.
        held = [tensor.contiguous() for tensor in tensors]
        batch, positions, parts = shape.shape
        numbers = [ctypes.c_int64(n) for n in (batch, positions, parts // 2)]
        flags = [] if relu is None else [ctypes.c_int(relu)]
        getattr(self._library, f"{name}_{_NAMES[shape.dtype]}")(
            *(ctypes.c_void_p(tensor.data_ptr()) for tensor in held),
            *numbers,
            *flags,
            ctypes.c_int(torch.get_num_threads()),
        )
