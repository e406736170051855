"""Linear maps and convolutions of maps (B, F, T, C) whose channels lie side by side.

C channels are the real halves of C/2 complex channels and then their imaginary halves. A map
between them is real-linear, with any real matrix, or complex-linear, with [[A, -B], [B, A]]: half
of the parameters for the same products (TEMPORAL.md section 2).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.config.choices import Linearity
from cplxsep.nn.conv import stacked_kernel
from cplxsep.nn.memory import Memory, with_past


class LinearMap(nn.Module):
    """A matrix (out, in), or a kernel (out, in, bands, frames) of a convolution that keeps F.

    It keeps T, too, or has one frame less, those half way, where its frames are even.

    Args:
        given, found: channels before and after.
        size: of the kernel: both sides, odd, or an odd number of bands and one of frames; 0 is a
            matrix.
        gain: factor on the initial standard deviation, 1/sqrt(fan in).
        linearity: "real" or "complex"; complex needs even channels.
        causal: the kernel's last column, not its middle, is at the frame itself; odd frames.
    """

    def __init__(
        self,
        given: int,
        found: int,
        size: int | tuple[int, int] = 0,
        *,
        gain: float = 1.0,
        linearity: Linearity = "real",
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.linearity, self.causal = linearity, causal
        side = size if isinstance(size, tuple) else (size, size) if size else ()
        std = gain / math.sqrt(given * math.prod(side))
        if linearity == "complex":
            shape = (found // 2, given // 2, *side)
            self.weight_real = nn.Parameter(torch.randn(shape) * std)
            self.weight_imag = nn.Parameter(torch.randn(shape) * std)
        else:
            self.weight = nn.Parameter(torch.randn(found, given, *side) * std)

    def kernel(self, dtype: torch.dtype) -> Tensor:
        """The real matrix or kernel that acts on real halves first."""
        if self.linearity == "complex":
            return stacked_kernel(self.weight_real, self.weight_imag, dtype)
        return self.weight.to(dtype)

    def forward(self, maps: Tensor, memory: Memory | None = None) -> Tensor:
        """Maps (B, F, T, out) of maps (B, F, T, in); causal kernels go on from a memory."""
        kernel = self.kernel(maps.dtype)
        if kernel.dim() == 2:
            return F.linear(maps, kernel)
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        bands, frames = kernel.shape[2:]
        padding = (bands // 2, 0 if self.causal else (frames - 1) // 2)
        if self.causal:
            maps = with_past(maps, frames - 1, self, memory)
        return F.conv2d(maps.permute(0, 3, 1, 2), kernel, padding=padding).permute(0, 2, 3, 1)

    def added_to(self, maps: Tensor, more: Tensor) -> Tensor:
        """maps (B, F, T, out) + the map of more (B, F, T, in), in one product; matrices only."""
        kernel = self.kernel(more.dtype)
        rows = torch.addmm(maps.reshape(-1, maps.shape[-1]), more.flatten(0, -2), kernel.t())
        return rows.view(maps.shape)

    @torch.no_grad()
    def clear(self) -> None:
        """Make it the map to zero."""
        for weight in self.parameters():
            weight.zero_()
