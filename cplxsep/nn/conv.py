"""Complex convolution as one real convolution with a stacked kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.nn.init import INITS, Criterion, Init


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
        self.padding = kernel // 2
        real, imag = INITS[init]((out_maps, in_maps, kernel, kernel), criterion)
        self.weight_real = nn.Parameter(real)
        self.weight_imag = nn.Parameter(imag)
        self.bias = nn.Parameter(torch.zeros(2 * out_maps)) if bias else None

    def forward(self, maps: Tensor) -> Tensor:
        kernel = stacked_kernel(self.weight_real, self.weight_imag)
        return F.conv2d(maps, kernel, self.bias, stride=self.stride, padding=self.padding)
