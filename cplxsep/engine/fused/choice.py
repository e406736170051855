"""Which form of a model runs on a device.

The choice depends on the machine alone, never on what was compiled before or on how long the work
is: the same recording gives the same output in every run. So native code is waited for where it
has to be compiled first, once for a machine, in a few seconds.
"""

import torch
from torch import nn

from cplxsep.engine.fused.dual_path import InWorkingType, suits, with_native
from cplxsep.engine.fused.model import fusable, fuse
from cplxsep.networks.dual_path import DualPathNetwork
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.nn.between_convolutions import BETWEEN
from cplxsep.nn.device import fast_bf16_vectors, pick_precision
from cplxsep.nn.native import build
from cplxsep.nn.position_norm import POSITION_NORM
from cplxsep.nn.recurrence import RECURRENCE
from cplxsep.nn.residual_blocks import NativeBlocks

NATIVE, PLAIN = "native code", "plain PyTorch"


def choose(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None
) -> tuple[nn.Module, str]:
    """A model's fastest form, or the model itself, and in words what it runs as.

    Args:
        dtype: working precision, None for float32.
    """
    if not isinstance(model, SeparationModel):
        return model, PLAIN
    if isinstance(model.network, DualPathNetwork):
        return _dual_path(model, model.network, device, dtype)
    wide = dtype or torch.float32
    try:
        if device.type == "cpu" and fusable(model):
            BETWEEN.enable("cpu")
            return fuse(model, wide, BETWEEN.on(device, wide)), NATIVE
    except build.NoCompilerError as error:
        return fuse(model, wide, BETWEEN.statement), f"{PLAIN}: {error}"
    return fuse(model, wide, BETWEEN.statement), PLAIN


def working_type(precision: str, device: torch.device, model: nn.Module) -> torch.dtype | None:
    """Working type of a model for a precision, None for float32; "auto" is what is fastest for it.

    Raises:
        UsageError, DeviceError: as `pick_precision`.
    """
    on_vectors = device.type == "cpu" and isinstance(
        getattr(model, "network", None), DualPathNetwork
    )
    if precision == "auto" and on_vectors:  # where PyTorch would use AMX
        precision = "bf16" if fast_bf16_vectors() else "fp32"
    return pick_precision(precision, device)


def _dual_path(
    model: SeparationModel,
    network: DualPathNetwork,
    device: torch.device,
    dtype: torch.dtype | None,
) -> tuple[nn.Module, str]:
    """On a CPU with native blocks; on a GPU the network itself, whose operators are kernels."""
    if device.type == "cuda":
        kind = "Triton kernels" if backends.triton_works(device) else PLAIN
        return model.with_network(InWorkingType(network, dtype)), kind
    try:
        blocks = NativeBlocks(dtype or torch.float32)
        if suits(network, blocks):
            return model.with_network(with_native(network, blocks)), NATIVE
        # Sizes that fill no vectors, or bfloat16 that this CPU has no products for.
        backends.enable_native(RECURRENCE, POSITION_NORM)
    except build.NoCompilerError as error:
        return model, f"{PLAIN}: {error}"
    return model, f"{PLAIN}, its recurrences native code"
