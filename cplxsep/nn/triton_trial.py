"""The smallest function in Triton. Importing this file needs Triton."""

# mypy: disable-error-code="no-untyped-def"

import torch
import triton
import triton.language as tl


@triton.jit
def _store_one(to):
    tl.store(to, 1.0)


def trial(device: torch.device) -> None:
    """Compile and run it there. Raises whatever is in the way."""
    with torch.cuda.device(device):
        _store_one[(1,)](torch.empty(1, device=device))
