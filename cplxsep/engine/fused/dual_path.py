"""Inference forms of the dual-path network: native blocks on a CPU, a whole graph on a GPU."""

import copy

import torch
from torch import Tensor, nn

from cplxsep.networks.dual_path import DualPathNetwork
from cplxsep.networks.dual_path_blocks import Local, Recurrent
from cplxsep.nn.residual_blocks import LocalWeights, NativeBlocks, RecurrentWeights


def suits(network: DualPathNetwork, blocks: NativeBlocks) -> bool:
    """Whether native blocks can work on all of a network's sizes."""
    return all(
        blocks.takes(module.out.weight.shape[0], module.theta.shape[1])
        if isinstance(module, Recurrent)
        else blocks.takes(module.norm.gain.shape[0], 0)
        for module in network.modules()
        if isinstance(module, Local | Recurrent)
    )


def with_native(module: nn.Module, blocks: NativeBlocks) -> nn.Module:
    """A module with native residual blocks in the place of its own; it is left as it is.

    Maps are float32; what goes into the products of the blocks is in the blocks' type.
    """
    if isinstance(module, Local):
        return _Local(module, blocks)
    if isinstance(module, Recurrent):
        return _Recurrent(module, blocks)
    form = copy.copy(module)
    form._modules = {
        name: None if child is None else with_native(child, blocks)
        for name, child in module._modules.items()
    }
    return form


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

    def forward(self, maps: Tensor) -> Tensor:
        self.blocks.local(maps, self.weights)
        return maps


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

    def forward(self, maps: Tensor) -> Tensor:
        self.blocks.recurrent(maps, self.weights, self.along)
        return maps
