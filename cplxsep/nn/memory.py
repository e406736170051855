"""What a causal network carries from one call to the next, so that a signal may come in blocks."""

import torch
from torch import Tensor, nn

# By the module that left it there; empty before the first block.
Memory = dict[nn.Module, Tensor]


def with_past(maps: Tensor, frames: int, owner: nn.Module, memory: Memory | None) -> Tensor:
    """Maps (B, F, T, C) behind the `frames` before them, (B, F, frames + T, C).

    Those are of the owner's call before, or zeros; the latest ones are left there for its next.
    """
    past = None if memory is None else memory.get(owner)
    if past is None:
        past = maps.new_zeros(*maps.shape[:2], frames, maps.shape[3])
    whole = torch.cat([past, maps], dim=2)
    if memory is not None:
        memory[owner] = whole[:, :, maps.shape[2] :].clone()  # not the whole of it
    return whole
