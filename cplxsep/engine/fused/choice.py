"""Which form of a model runs on a device.

The choice depends on the machine alone, never on what was compiled before or on how long the work
is: the same recording gives the same output in every run. So native code is waited for where it
has to be compiled first, once for a machine, in a few seconds.
"""

import torch
from torch import nn

from cplxsep.engine.fused import spectral  # noqa: F401 (it registers its forms)
from cplxsep.engine.fused.dual_path import by_amx, no_native_code
from cplxsep.engine.fused.registry import NETWORKS, PLAIN, NetworkForm
from cplxsep.errors import DeviceError
from cplxsep.networks.dual_path import DualPathNetwork
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.device import pick_precision


def choose(
    model: nn.Module, device: torch.device, dtype: torch.dtype | None
) -> tuple[nn.Module, str]:
    """A model's fastest form, or the model itself, and in words what it runs as.

    Args:
        dtype: working precision, None for float32.
    """
    known = _known(model)
    if known is None or not isinstance(model, SeparationModel):
        return model, PLAIN
    network, kind = known.make(model.network, device, dtype)
    return model if network is model.network else model.with_network(network).eval(), kind


def working_type(precision: str, device: torch.device, model: nn.Module) -> torch.dtype | None:
    """Working type of a model for a precision, None for float32; "auto" is what is fastest for it.

    Raises:
        UsageError, DeviceError: as `pick_precision`; int8 is not possible on this CPU.
    """
    known = _known(model)
    if precision in ("auto", "int8") and device.type == "cpu" and known and known.precisions:
        possible = known.precisions(_network(model))
        if precision == "auto":
            precision = possible[0]
        if precision == "int8":
            if "int8" in possible:
                return torch.int8
            if why := no_native_code():
                raise DeviceError(f"precision int8 needs native code: {why}")
            raise DeviceError(
                "precision int8 needs a CPU with VNNI, a C++ compiler and a network whose channels "
                "fill vectors: use auto, or fp32 where machines of a cluster differ"
            )
    return pick_precision(precision, device)


def chunks_at_once(model: nn.Module, dtype: torch.dtype | None) -> int:
    """How many chunks are best computed at once on a CPU."""
    # Its caches hold no more than one. But by AMX products take so little time that what has to be
    # done once for a batch counts.
    network = _network(model)
    fast = dtype == torch.bfloat16 and type(network) is DualPathNetwork and by_amx(network)
    return 2 if fast and not getattr(model, "causal", False) else 1


def _known(model: nn.Module) -> NetworkForm | None:
    return NETWORKS.get(type(_network(model)))


def _network(model: nn.Module) -> nn.Module:
    return getattr(model, "network", model)
