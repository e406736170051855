"""The complex network that remembers: a mask on the STFT, found along bands and along frames.

Source: TEMPORAL.md section 2. A complex U-Net in its smallest form, one level inside another: a
stem and a head of few channels, and between them levels of more, each but the first at half the
bands and half the frames of the one around it. Every block is x + f(norm(x)) with a norm over one
position, so that nothing depends on the length of the chunk, attention excepted. A causal one sees
the mixture at its level so far, looks at no later frame and can go on from a memory.

Inside, maps are (B, F, T, C): F bands of `group` neighbouring bins, channels side by side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.config import ModelConfig
from cplxsep.networks.dual_path_blocks import DualPathBlock, Local
from cplxsep.nn import conv, pairs
from cplxsep.nn.linear import LinearMap
from cplxsep.nn.memory import Memory
from cplxsep.nn.position_norm import ResidualNorm
from cplxsep.nn.running_level import RunningLevel

# Of the STFT's window length in samples: brings a mixture at unit RMS to bins of about unit size.
SCALE = 64.0
COMPRESSED = 1e-8  # power under which the root of a bin's magnitude is bounded
LEVEL = 3.0  # seconds after which the running level of a causal network has mostly forgotten


class DualPathNetwork(nn.Module):
    """Sources' spectrograms (B, 2N, F, T) from a mixture's (B, 2, F, T), at any sample rate.

    A window lasts equally long at every rate, so that a band means the same and only their number
    grows. The bin at the Nyquist frequency is left out.

    With `half_hop` the spectrograms have half the hop and an odd number of frames, 3 at least. The
    network sees every second of them and makes masks for all: each sample is then a mean over four
    windows, not two, in which errors of single masks cancel, for hardly more products.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        shape = config.dual_path
        self.group, self.sources = shape.group, config.sources
        parts = 4 * shape.group  # a bin and its compressed form, real and imaginary
        hop = config.hop / config.sample_rate
        self.running_level = RunningLevel(LEVEL / hop) if shape.causal else None
        self.stem = LinearMap(parts, shape.outer, 3, causal=shape.causal)
        self.encode = Local(shape.outer, shape.linearity, shape.causal)
        self.widen = LinearMap(shape.outer, shape.channels[0])
        self.level = Level(config, 0)
        self.norm = ResidualNorm(shape.channels[0])
        self.narrow = LinearMap(shape.channels[0], shape.outer)
        self.decode = Local(shape.outer, shape.linearity, shape.causal)
        self.head_norm = ResidualNorm(shape.outer)
        masks = 2 * config.sources * shape.group
        self.head = LinearMap(shape.outer, masks, 3, gain=0.3, causal=shape.causal)
        # Every mask begins near its share of the mixture.
        bias = torch.zeros(shape.group, config.sources, 2)
        bias[..., 0] = 1 / config.sources
        self.head_bias = nn.Parameter(bias.flatten())
        # Of frames half way: what differs from the mean of both neighbours' masks.
        self.midway = LinearMap(shape.outer, masks, (3, 4), gain=0.3) if shape.half_hop else None
        # What a mask cannot give where the mixture is faint; decoded apart from it, as magnitudes
        # and what corrects them are in CMGAN (Cao et al. 2022).
        self.correction = (
            LinearMap(shape.outer, masks, 3, gain=0.3, causal=shape.causal)
            if shape.correction
            else None
        )

    def forward(self, mixture: Tensor, memory: Memory | None = None) -> Tensor:
        dtype = conv.working_type(mixture)
        with torch.autocast(mixture.device.type, enabled=False):
            level = self.level_of(mixture, memory)
            heard = mixture if level is None else mixture * _inverse(level)
            features = self.features(heard if self.midway is None else heard[..., ::2], dtype)
            skip = self.encode(self.stem(features, memory).contiguous(), memory)
            maps = self.level(self.widen(skip), memory)
            maps = self.decode(self.joined(skip, maps), memory)
            normed = self.head_norm(maps)[1]
            masks = self.head(normed, memory).to(mixture.dtype) + self.head_bias
            if self.midway is not None:
                masks = with_means(masks, self.midway(normed).to(mixture.dtype))
            sources = pairs.product(self.spectral(masks), mixture[:, :, :-1])
            if self.correction is not None:
                more = self.spectral(self.correction(normed, memory).to(mixture.dtype))
                unit = 2 * sources.shape[2] / SCALE
                sources = sources + more * (unit if level is None else unit * level)
            return F.pad(sources, (0, 0, 0, 1))

    def joined(self, skip: Tensor, maps: Tensor) -> Tensor:
        """Outer maps (B, F, T, outer) and what the levels made of them, (B, F, T, C)."""
        return self.narrow.added_to(skip, self.norm(maps)[1])

    def level_of(self, mixture: Tensor, memory: Memory | None) -> Tensor | None:
        """Level (B, 1, 1, T) of a mixture (B, 2, F, T) so far, of which a causal network hears it.

        None where it comes at unit level.
        """
        if self.running_level is None:
            return None
        # Of a signal at unit RMS under a Hann window: 3/16 of the square of the window's length.
        unit = 3 / 4 * (mixture.shape[2] - 1) ** 2
        return self.running_level(mixture.square().sum((1, 2)) / unit, memory)[:, None, None]

    def features(self, mixture: Tensor, dtype: torch.dtype) -> Tensor:
        """What the stem sees of a mixture (B, 2, F, T): maps (B, bands, T, 4 * group).

        Each bin, and each bin divided by the root of its magnitude.
        """
        batch, _, bins, frames = mixture.shape
        bands = mixture[:, :, : bins - 1] * (SCALE / (2 * (bins - 1)))
        power = bands.square().sum(1, keepdim=True)
        parts = torch.cat([bands, bands * (power + COMPRESSED).pow(-0.25)], dim=1)
        rows = parts.permute(0, 2, 3, 1).unflatten(1, (-1, self.group)).transpose(2, 3)
        return rows.reshape(batch, -1, frames, 4 * self.group).to(dtype)

    def spectral(self, masks: Tensor) -> Tensor:
        """Masks (B, 2N, F, T) of what the head gives, (B, bands, T, group * N * 2)."""
        found = masks.unflatten(-1, (self.group, self.sources, 2))
        return found.permute(0, 5, 4, 1, 3, 2).flatten(3, 4).flatten(1, 2)

    def grown(self) -> dict[str, LinearMap]:
        """Parts that a trained network of fewer options lacks, by name, with the last map of each.

        With that map at zero the network gives what it gave without the part; with `half_hop`, by
        masks half way that are the means of their neighbours.
        """
        maps = {"correction.": self.correction, "midway.": self.midway}
        found = {name: part for name, part in maps.items() if part is not None}
        for name, module in self.named_modules():
            if isinstance(module, DualPathBlock) and module.attention is not None:
                found[f"{name}.attention."] = module.attention.out
        for name, module in self.named_modules():
            if isinstance(module, Level) and module.inner is not None:
                found |= {f"{name}.{part}.": module.up for part in ("down", "inner", "up")}
        return found


class Level(nn.Module):
    """Blocks at one resolution; in their middle the next level, if there is one, added to them."""

    def __init__(self, config: ModelConfig, depth: int) -> None:
        super().__init__()
        shape = config.dual_path
        own = shape.channels[depth]
        self.blocks = nn.ModuleList(
            DualPathBlock(own, shape.states, shape.heads, shape.linearity, shape.causal)
            for _ in range(shape.blocks[depth])
        )
        self.inner = None
        if depth + 1 < len(shape.channels):
            below = shape.channels[depth + 1]
            self.down = LinearMap(4 * own, below)
            self.inner = Level(config, depth + 1)
            self.up = LinearMap(below, 4 * own, gain=0.5)

    def forward(self, maps: Tensor, memory: Memory | None = None) -> Tensor:
        """Maps (B, F, T, C) of such maps."""
        middle = len(self.blocks) // 2
        for block in self.blocks[:middle]:
            maps = block(maps, memory)
        if self.inner is not None:
            maps = self.around(self.inner, maps)
        for block in self.blocks[middle:]:
            maps = block(maps, memory)
        return maps

    def around(self, inner: nn.Module, maps: Tensor) -> Tensor:
        """Maps (B, F, T, C) + what the next level makes of them; an odd last frame gets a zero."""
        frames = maps.shape[2]
        given = self.down(together(F.pad(maps, (0, 0, 0, frames % 2))))
        return maps + apart(self.up(inner(given)))[:, :, :frames]


def _inverse(level: Tensor) -> Tensor:
    """Of a level, and 0 of silence."""
    silent = level < torch.finfo(level.dtype).tiny ** 0.5
    return torch.where(silent, 0, 1 / level)


def with_means(maps: Tensor, more: Tensor) -> Tensor:
    """Between frames of maps (B, F, T, C) their means + more (B, F, T-1, C): (B, F, 2T-1, C)."""
    midway = (maps[:, :, :-1] + maps[:, :, 1:]) / 2 + more
    both = torch.stack([maps[:, :, :-1], midway], dim=3).flatten(2, 3)
    return torch.cat([both, maps[:, :, -1:]], dim=2)


def together(maps: Tensor) -> Tensor:
    """Two bands and two frames side by side: (B, F/2, T/2, 4C) of (B, F, T, C)."""
    batch, bands, frames, channels = maps.shape
    fours = maps.view(batch, bands // 2, 2, frames // 2, 2, channels).transpose(2, 3)
    return fours.reshape(batch, bands // 2, frames // 2, 4 * channels)


def apart(maps: Tensor) -> Tensor:
    """The inverse of `together`."""
    batch, bands, frames, channels = maps.shape
    fours = maps.view(batch, bands, frames, 2, 2, channels // 4).transpose(2, 3)
    return fours.reshape(batch, 2 * bands, 2 * frames, channels // 4)
