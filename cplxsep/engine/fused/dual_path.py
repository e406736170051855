"""Inference forms of the dual-path network: native blocks on a CPU, a whole graph on a GPU."""

import torch
from torch import Tensor, nn

from cplxsep.engine.fused import registry
from cplxsep.networks.dual_path import DualPathNetwork
from cplxsep.networks.dual_path_blocks import Local, Recurrent
from cplxsep.nn.backends import enable_native, triton_works
from cplxsep.nn.device import fast_bf16_vectors
from cplxsep.nn.memory import Memory
from cplxsep.nn.native.build import NoCompilerError
from cplxsep.nn.position_norm import POSITION_NORM
from cplxsep.nn.recurrence import RECURRENCE
from cplxsep.nn.residual_blocks import NativeBlocks


def precisions(network: DualPathNetwork) -> tuple[str, ...]:
    """The network's precisions on this CPU, the fastest first.

    Bytes have twice the rate of bfloat16, and the output is as near to that of float32. By AMX
    products take so little time that bytes cannot save what it costs to make them.
    """
    # Without blocks, what is native takes vectors alone.
    known = ("bf16", "fp32") if fast_bf16_vectors() else ("fp32", "bf16")
    try:
        if not _fits(network, NativeBlocks(torch.int8)):
            return known
    except NoCompilerError:
        return known
    return ("bf16", "int8", "fp32") if by_amx(network) else ("int8", *known)


def by_amx(network: DualPathNetwork) -> bool:
    """Whether the network's products in bfloat16 are those of AMX."""
    try:
        blocks = NativeBlocks(torch.bfloat16)
    except NoCompilerError:
        return False
    return blocks.amx and _fits(network, blocks)


def no_native_code() -> str | None:
    """Why there are no native blocks on this machine, whatever the precision; None if there are."""
    try:
        NativeBlocks(torch.int8)
    except NoCompilerError as error:
        return str(error)
    return None


def _fits(network: DualPathNetwork, blocks: NativeBlocks) -> bool:
    """Whether all parts that have a native form have it by these blocks."""
    parts = (part for part in network.modules() if type(part) in registry.FORMS)
    return all(registry.has_form(part, blocks) for part in parts)


@registry.network_form(DualPathNetwork, precisions)
def dual_path(
    network: DualPathNetwork, device: torch.device, dtype: torch.dtype | None
) -> tuple[nn.Module, str]:
    """On a CPU with native blocks; on a GPU the network itself, whose operators are Triton's."""
    if device.type == "cuda":
        kind = registry.TRITON if triton_works(device) else registry.PLAIN
        return InWorkingType(network, dtype), kind
    try:
        # Maps are float32; what goes into the products of the blocks is in their type.
        blocks = NativeBlocks(dtype or torch.float32)
        if _fits(network, blocks):
            return NativeNetwork(network, blocks), registry.NATIVE
        # Sizes that fill no vectors, or bfloat16 that this CPU has no products for.
        enable_native(RECURRENCE, POSITION_NORM)
    except NoCompilerError as error:
        return network, f"{registry.PLAIN}: {error}"
    return network, f"{registry.PLAIN}, its recurrences native code"


class NativeNetwork(DualPathNetwork):
    """The network with blocks in the place of its own; levels are joined in one sweep."""

    def __init__(self, network: DualPathNetwork, blocks: NativeBlocks) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(registry.with_forms(network, blocks).__dict__)
        self.blocks = blocks
        self.weights = blocks.normed_weights(
            (network.norm.gain, network.norm.bias), network.narrow.kernel(torch.float32)
        )

    def joined(self, skip: Tensor, maps: Tensor) -> Tensor:
        """As of the network, in place of `skip`."""
        self.blocks.add_normed(skip, self.weights, maps.contiguous())
        return skip


class InWorkingType(nn.Module):
    """The network as it stands, with maps in a type of fewer bits; None is float32.

    A module of its own, so that a CUDA graph can hold all of it.
    """

    def __init__(self, network: DualPathNetwork, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.network, self.dtype = network, dtype

    def forward(self, mixture: Tensor, memory: Memory | None = None) -> Tensor:
        low = self.dtype is not None
        with torch.autocast(mixture.device.type, self.dtype, enabled=low):
            return self.network(mixture, memory)


@registry.form_of(Local, "norm", "conv", "out")
class _Local(registry.ModuleForm):
    """As `Local`, in place."""

    @staticmethod
    def takes(local: Local, blocks: NativeBlocks) -> bool:
        return blocks.takes(local.norm.gain.shape[0], 0)

    def __init__(self, local: Local, blocks: NativeBlocks) -> None:
        super().__init__()
        self.blocks, self.causal = blocks, local.conv.causal
        self.weights = blocks.local_weights(
            (local.norm.gain, local.norm.bias),
            local.conv.kernel(torch.float32),
            local.out.kernel(torch.float32),
        )

    def forward(self, maps: Tensor, memory: Memory | None = None) -> Tensor:
        past = None
        if memory is not None:
            past = memory.setdefault(self, self.blocks.no_past(maps))
        self.blocks.local(maps, self.weights, self.causal, past)
        return maps


@registry.form_of(Recurrent, "norm", "into", "bias", "theta", "out")
class _Recurrent(registry.ModuleForm):
    """As `Recurrent`, in place."""

    @staticmethod
    def takes(recurrent: Recurrent, blocks: NativeBlocks) -> bool:
        return blocks.takes(recurrent.norm.gain.shape[0], recurrent.theta.shape[1])

    def __init__(self, recurrent: Recurrent, blocks: NativeBlocks) -> None:
        super().__init__()
        self.blocks, self.along = blocks, recurrent.along
        self.states = 4 * recurrent.theta.shape[1]
        self.weights = blocks.recurrent_weights(
            (recurrent.norm.gain, recurrent.norm.bias),
            recurrent.into.weight,
            (recurrent.bias, recurrent.theta),
            recurrent.out.weight,
        )

    def forward(self, maps: Tensor, memory: Memory | None = None) -> Tensor:
        last = None
        if memory is not None and self.along == "past frames":
            last = memory.setdefault(self, maps.new_zeros(*maps.shape[:2], self.states))
        self.blocks.recurrent(maps, self.weights, self.along, last)
        return maps
