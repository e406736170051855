"""Complex convolution as one real convolution with a stacked kernel, and the real twin's."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.config.choices import Criterion, Init
from cplxsep.nn.init import INITS


class _EveryNth(torch.autograd.Function):
    """Every n-th position along F and T of maps (B, C, F, T), channels-last both ways.

    The gradient of PyTorch's slice is channels-first, which the next operator back has to undo at
    several times the cost.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, step: int) -> Tensor:
        ctx.shape, ctx.step = maps.shape, step
        return maps[:, :, ::step, ::step].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        into = torch.empty(
            ctx.shape,
            dtype=grad.dtype,
            device=grad.device,
            memory_format=torch.channels_last,
        ).zero_()
        into[:, :, :: ctx.step, :: ctx.step] = grad
        return into, None


class _Stack(torch.autograd.Function):
    """The stacked kernel, written and read back once; `dtype` is that of the result."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, imag: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.wide = real.dtype
        rows, columns = real.shape[:2]
        kernel = real.new_empty(2 * rows, 2 * columns, *real.shape[2:], dtype=dtype)
        kernel[:rows, :columns] = real
        kernel[:rows, columns:] = imag
        kernel[:rows, columns:].neg_()
        kernel[rows:, :columns] = imag
        kernel[rows:, columns:] = real
        return kernel

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        top, bottom = grad.to(ctx.wide).chunk(2)
        (top_left, top_right), (bottom_left, bottom_right) = top.chunk(2, 1), bottom.chunk(2, 1)
        return top_left + bottom_right, bottom_left - top_right, None


def convolve(maps: Tensor, kernel: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Real 2-D convolution with zero padding that keeps F and T at stride 1.

    A 1x1 kernel with a stride sees only every stride-th position, so those are picked first: less
    work, and PyTorch's own form writes outside its memory on some CPUs (torch 2.14, float32,
    channels-last, 8 channels).
    """
    size = kernel.shape[-1]
    if size == 1 and stride > 1:
        maps, stride = _EveryNth.apply(maps, stride), 1
    return F.conv2d(maps, kernel, bias, stride=stride, padding=size // 2)


def stacked_kernel(real: Tensor, imag: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Real kernel [[Wr, -Wi], [Wi, Wr]] (2*out, 2*in, k, k) that acts on real halves first."""
    return _Stack.apply(real, imag, dtype or real.dtype)


def working_type(values: Tensor) -> torch.dtype:
    """What autocast would convert values to, for those who make the cast themselves."""
    device = values.device.type
    if values.dtype == torch.float64 or not torch.is_autocast_enabled(device):
        return values.dtype
    return torch.get_autocast_dtype(device)


class ComplexConv2d(nn.Module):
    """Complex 2-D convolution on maps (B, 2*in, F, T) -> (B, 2*out, F', T'), zero padding.

    Source: Trabelsi et al. 2017, section 3.2; parameter count 2*in*out*k*k (+ 2*out with bias).

    Args:
        in_maps, out_maps: complex channels.
        kernel: side of the square kernel; zero padding keeps F and T at stride 1.
        stride: the same on both axes.
        bias: a complex bias per output map, initially zero.
        init, criterion: see ``cplxsep.nn.init``.
    """

    def __init__(
        self,
        in_maps: int,
        out_maps: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        bias: bool = False,
        init: Init = "rayleigh",
        criterion: Criterion = "he",
    ) -> None:
        super().__init__()
        self.stride = stride
        real, imag = INITS[init]((out_maps, in_maps, kernel, kernel), criterion)
        self.weight_real = nn.Parameter(real)
        self.weight_imag = nn.Parameter(imag)
        self.bias = nn.Parameter(torch.zeros(2 * out_maps)) if bias else None

    def forward(self, maps: Tensor) -> Tensor:
        dtype = working_type(self.weight_real)  # cheaper done while the kernel is stacked
        kernel = stacked_kernel(self.weight_real, self.weight_imag, dtype)
        return convolve(maps, kernel, self.bias, self.stride)


class RealConv2d(nn.Module):
    """Bias-free real convolution on maps (B, in, F, T), kernels from N(0, 2/fan_in)."""

    def __init__(self, in_maps: int, out_maps: int, kernel: int, *, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_maps, in_maps, kernel, kernel))
        nn.init.normal_(self.weight, std=math.sqrt(2 / (in_maps * kernel * kernel)))

    def forward(self, maps: Tensor) -> Tensor:
        return convolve(maps, self.weight, None, self.stride)
