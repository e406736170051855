"""Whether operators can run as Triton kernels: some systems lack it, and it needs a compiler."""

from functools import cache

import torch
from torch import Tensor


def triton_ready(maps: Tensor) -> bool:
    """Whether Triton kernels run on such maps: CUDA, no float64. The first call tries it out."""
    return (
        maps.is_cuda
        and maps.dtype != torch.float64
        and maps.numel() > 0
        and _works(maps.device.index)
    )


@cache
def _works(index: int) -> bool:
    try:
        from cplxsep.nn.triton_trial import trial

        trial(torch.device("cuda", index))
    except Exception:  # not installed, no host compiler, an unsupported GPU
        return False
    return True
