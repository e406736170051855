"""The residual U-Net of the paper (section 5, figure 1; topology as in SPEC section 3)."""

from itertools import pairwise

from torch import Tensor, nn

from cplxsep.config import UNetConfig
from cplxsep.networks.blocks import Algebra, stage, upsample


class UNet(nn.Module):
    """Residual U-Net with a stem, encoder and decoder stages, and skip connections.

    Input (B, in_maps, F, T) and output (B, out_maps, F, T) in maps of the algebra; F and T must
    be multiples of `factor`. Widths: stem start_maps/2, then start_maps times 1, 2, 4, 4.

    Args:
        algebra: complex or real building blocks.
        in_maps: channels of the input.
        options: start_maps, the channels of the first encoder stage (the paper's "start fmaps");
            residual_blocks, k of the paper, before and after each resampling; levels, how many
            times F and T are halved; order, of widening and halving in the encoder (SPEC 7.4).
    """

    def __init__(self, algebra: Algebra, in_maps: int, options: UNetConfig) -> None:
        super().__init__()
        start_maps, levels = options.start_maps, options.levels
        residual_blocks, order = options.residual_blocks, options.order
        widths = [start_maps // 2] + [start_maps * min(2**level, 4) for level in range(levels)]
        self.concatenate = algebra.concatenate
        self.stem = stage(algebra, in_maps, widths[0], residual_blocks)
        self.encoder = nn.ModuleList(
            stage(algebra, narrow, wide, residual_blocks, down=True, order=order)
            for narrow, wide in pairwise(widths)
        )
        self.decoder = nn.ModuleList()
        below = widths[-1]
        for level in range(levels - 1, -1, -1):
            out_maps = widths[max(level - 1, 0)]
            self.decoder.append(stage(algebra, below + widths[level], out_maps, residual_blocks))
            below = out_maps
        self.out_maps = below
        self.factor = 2**levels

    def forward(self, maps: Tensor) -> Tensor:
        skips = []
        maps = self.stem(maps)
        for down in self.encoder:
            skips.append(maps)
            maps = down(maps)
        for up in self.decoder:
            maps = up(self.concatenate(skips.pop(), upsample(maps)))
        return maps
