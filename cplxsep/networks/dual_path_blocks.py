"""Residual blocks of the dual-path network, on maps (B, F, T, C) whose channels lie side by side.

Causal ones go on from a memory, if there is one. Source: TEMPORAL.md section 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.config.choices import Linearity
from cplxsep.nn.linear import LinearMap
from cplxsep.nn.memory import Memory
from cplxsep.nn.position_norm import ResidualNorm
from cplxsep.nn.recurrence import Along, continued, recurrence
from cplxsep.nn.training_blocks import TRAINING_BLOCKS

HEAD_WIDTH = 4  # channels of a band by which an attention head compares frames


class DualPathBlock(nn.Module):
    """What is near in time and frequency, then along bands, then along frames, then attention.

    Args:
        channels: of the maps. states: complex states of each direction of a recurrence.
        heads: of attention; 0 is none. linearity: of the local block.
        causal: no frame depends on a later one; attention has no such form.
    """

    def __init__(
        self, channels: int, states: int, heads: int, linearity: Linearity, causal: bool
    ) -> None:
        super().__init__()
        self.local = Local(channels, linearity, causal)
        self.bands = Recurrent(channels, states, "bands")
        # As many states both ways or one way: one form starts from the weights of the other.
        self.frames = Recurrent(channels, states, "past frames" if causal else "frames")
        self.attention = Attention(channels, heads) if heads else None

    def forward(self, maps: Tensor, memory: Memory | None = None) -> Tensor:
        maps = self.frames(self.bands(self.local(maps, memory)), memory)
        return maps if self.attention is None else self.attention(maps)


class Local(nn.Module):
    """x + W SiLU(conv3x3(norm(x)))."""

    def __init__(self, channels: int, linearity: Linearity, causal: bool) -> None:
        super().__init__()
        self.norm = ResidualNorm(channels)
        self.conv = LinearMap(channels, channels, 3, linearity=linearity, causal=causal)
        self.out = LinearMap(channels, channels, gain=0.5, linearity=linearity)

    def forward(self, maps: Tensor, memory: Memory | None = None) -> Tensor:
        blocks = TRAINING_BLOCKS.form(maps)
        if blocks is not None and memory is None and blocks.takes(maps):
            kernels = (part.kernel(torch.float32) for part in (self.conv, self.out))
            weights = (self.norm.gain, self.norm.bias, *kernels)
            return blocks.local(maps, weights, self.conv.causal)
        maps, normed = self.norm(maps)
        return self.out.added_to(maps, F.silu(self.conv(normed, memory)))


class Recurrent(nn.Module):
    """x + W [states of both directions of the recurrence of a linear map of norm(x)]."""

    def __init__(self, channels: int, states: int, along: Along) -> None:
        super().__init__()
        self.along: Along = along
        self.norm = ResidualNorm(channels)
        self.into = LinearMap(channels, 6 * states)
        bias = torch.zeros(2, 3, states)
        # Gates from a memory of one position to one of thirty, in any order.
        for direction in bias:
            direction[0] = torch.linspace(-1, 3.5, states)[torch.randperm(states)]
        self.bias = nn.Parameter(bias.flatten())
        self.theta = nn.Parameter(torch.empty(2, states).uniform_(-1, 1))
        self.out = LinearMap(4 * states, channels, gain=0.3)

    def forward(self, maps: Tensor, memory: Memory | None = None) -> Tensor:
        past = memory if self.along == "past frames" else None
        blocks = TRAINING_BLOCKS.form(maps)
        if blocks is not None and past is None and blocks.takes(maps, self.theta.shape[1]):
            norm = (self.norm.gain, self.norm.bias)
            weights = (*norm, self.into.weight, self.bias, self.theta, self.out.weight)
            return blocks.recurrent(maps, weights, self.along)
        maps, normed = self.norm(maps)
        projection = self.into(normed)
        if past is not None:
            states = continued(projection, self.bias, self.theta, past.get(self))
            past[self] = states[:, :, -1:].clone()
        else:
            states = recurrence(projection, self.bias, self.theta, self.along)
        return self.out.added_to(maps, states)


class Attention(nn.Module):
    """x + W [frames attend to frames over all bands together] (as TF-GridNet, Wang et al. 2023).

    It ties results to the length of the chunk, and has weights for one number of bands or another
    alike: a frame is compared by the channels of all its bands.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ResidualNorm(channels)
        self.query = LinearMap(channels, heads * HEAD_WIDTH)
        self.key = LinearMap(channels, heads * HEAD_WIDTH)
        self.value = LinearMap(channels, channels)
        self.out = LinearMap(channels, channels, gain=0.3)

    def forward(self, maps: Tensor) -> Tensor:
        maps, normed = self.norm(maps)
        batch, bands, frames, channels = normed.shape

        def by_frame(part: Tensor) -> Tensor:  # (B, heads, T, F * E)
            split = part.unflatten(-1, (self.heads, -1)).permute(0, 3, 2, 1, 4)
            return split.reshape(batch, self.heads, frames, -1)

        query, key, value = (by_frame(part(normed)) for part in (self.query, self.key, self.value))
        found = F.scaled_dot_product_attention(query, key, value).unflatten(-1, (bands, -1))
        joined = found.permute(0, 3, 2, 1, 4).reshape(batch, bands, frames, channels)
        return self.out.added_to(maps, joined)
