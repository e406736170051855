"""Complex convolution as one real convolution with a stacked kernel, and the real twin's."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.nn.init import INITS, Criterion, Init


def convolve(maps: Tensor, kernel: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Real 2-D convolution with zero padding that keeps F and T at stride 1.

    A 1x1 kernel with a stride sees only every stride-th position, so those are picked first: less
    work, and PyTorch's own form writes outside its memory on some CPUs (torch 2.14, float32,
    channels-last, 8 channels).
    """
    size = kernel.shape[-1]
    if size == 1 and stride > 1:
        maps, stride = maps[:, :, ::stride, ::stride], 1
        maps = maps.contiguous(memory_format=torch.channels_last)
    return F.conv2d(maps, kernel, bias, stride=stride, padding=size // 2)


def stacked_kernel(real: Tensor, imag: Tensor) -> Tensor:
    """Real kernel [[Wr, -Wi], [Wi, Wr]] (2*out, 2*in, k, k) that acts on real halves first."""
    top = torch.cat([real, -imag], dim=1)
    bottom = torch.cat([imag, real], dim=1)
    return torch.cat([top, bottom], dim=0)


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
        kernel = stacked_kernel(self.weight_real, self.weight_imag)
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
