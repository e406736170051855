"""Inference forms of the dual-path network: native blocks on a CPU, a whole graph on a GPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.networks.dual_path import DualPathNetwork, Level
from cplxsep.networks.dual_path_blocks import DualPathBlock, Local, Recurrent
from cplxsep.nn import pairs
from cplxsep.nn.residual_blocks import LocalWeights, NativeBlocks, RecurrentWeights


class FusedDualPath(nn.Module):
    """As `DualPathNetwork`: (B, 2, F, T) -> (B, 2N, F, T), both float32.

    Maps are float32; what goes into the products of the blocks is in the blocks' type.
    """

    def __init__(self, network: DualPathNetwork, blocks: NativeBlocks) -> None:
        super().__init__()
        self.network = network
        self.encode, self.decode = (
            _Local(local, blocks) for local in (network.encode, network.decode)
        )
        self.level = _Level(network.level, blocks)

    @staticmethod
    def suits(network: DualPathNetwork, blocks: NativeBlocks) -> bool:
        """Whether these blocks can work on all of a network's sizes."""
        return all(
            blocks.takes(module.out.weight.shape[0], module.theta.shape[1])
            if isinstance(module, Recurrent)
            else blocks.takes(module.norm.gain.shape[0], 0)
            for module in network.modules()
            if isinstance(module, Local | Recurrent)
        )

    def forward(self, mixture: Tensor) -> Tensor:
        network = self.network
        skip = network.stem(network.features(mixture, torch.float32)).contiguous()
        self.encode(skip)
        inner = network.norm(self.level(network.widen(skip)))[1]
        maps = network.narrow.added_to(skip, inner)
        self.decode(maps)
        masks = network.head(network.head_norm(maps)[1])
        masks = network.spectral(masks + network.head_bias)
        return F.pad(pairs.product(masks, mixture[:, :, :-1]), (0, 0, 0, 1))


class InWorkingType(nn.Module):
    """The network as it stands, with maps in a type of fewer bits; None is float32.

    A module of its own, so that a CUDA graph can hold all of it.
    """

    def __init__(self, network: DualPathNetwork, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, mixture: Tensor) -> Tensor:
        low = self.dtype is not None
        with torch.autocast(mixture.device.type, self.dtype, enabled=low):
            return self.network(mixture)


class _Level(nn.Module):
    """As `Level`; the maps that it is given are its to change."""

    def __init__(self, level: Level, blocks: NativeBlocks) -> None:
        super().__init__()
        self.level = level
        self.blocks = nn.ModuleList(_Block(block, blocks) for block in level.blocks)
        self.inner = None if level.inner is None else _Level(level.inner, blocks)

    def forward(self, maps: Tensor) -> Tensor:
        middle = len(self.blocks) // 2
        for block in self.blocks[:middle]:
            maps = block(maps)
        if self.inner is not None:
            maps = self.level.around(self.inner, maps)
        for block in self.blocks[middle:]:
            maps = block(maps)
        return maps


class _Block(nn.Module):
    """As `DualPathBlock`, in place."""

    def __init__(self, block: nn.Module, blocks: NativeBlocks) -> None:
        super().__init__()
        assert isinstance(block, DualPathBlock)
        self.local = _Local(block.local, blocks)
        self.bands = _Recurrent(block.bands, blocks)
        self.frames = _Recurrent(block.frames, blocks)
        self.attention = block.attention

    def forward(self, maps: Tensor) -> Tensor:
        self.local(maps)
        self.bands(maps)
        self.frames(maps)
        return maps if self.attention is None else self.attention(maps)


class _Local(nn.Module):
    """As `Local`, in place."""

    def __init__(self, local: Local, blocks: NativeBlocks) -> None:
        super().__init__()
        self.blocks = blocks
        self.weights: LocalWeights = blocks.local_weights(
            (local.norm.gain, local.norm.bias),
            local.conv.kernel(torch.float32),
            local.out.kernel(torch.float32),
        )

    def forward(self, maps: Tensor) -> None:
        self.blocks.local(maps, self.weights)


class _Recurrent(nn.Module):
    """As `Recurrent`, in place."""

    def __init__(self, recurrent: Recurrent, blocks: NativeBlocks) -> None:
        super().__init__()
        self.blocks, self.along = blocks, recurrent.along
        self.weights: RecurrentWeights = blocks.recurrent_weights(
            (recurrent.norm.gain, recurrent.norm.bias),
            recurrent.into.weight,
            (recurrent.bias, recurrent.theta),
            recurrent.out.weight,
        )

    def forward(self, maps: Tensor) -> None:
        self.blocks.recurrent(maps, self.weights, self.along)
