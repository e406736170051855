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
        and triton_works(maps.device)
    )


@cache
def triton_works(device: torch.device) -> bool:
    """Whether Triton kernels run on a CUDA device. The first call tries it out."""
    try:
        from cplxsep.nn.triton_trial import trial

        trial(device)
    except Exception:  # not installed, no host compiler, an unsupported GPU
        return False
    return True
