"""A network run several times, each with its frames between those of the others, and averaged."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from cplxsep.engine.fused.form import Network
from cplxsep.losses import pit


def averaged(network: Network, shifts: int, hop: int) -> Network:
    """The mean of what a network (B, S) -> (B, N, S) finds of chunks and of the same, begun later.

    Where its frames lie decides what it takes for whose; errors that depend on that cancel. An idea
    of Demucs (Défossez et al., "Music source separation in the waveform domain", 2019, section 4),
    but by fixed parts of a hop, for the same input to give the same output.

    Args:
        shifts: how many times; each takes as long as the first. 1: the network itself.
        hop: samples between its frames.
    """
    if shifts == 1:
        return network

    def mean(chunks: Tensor) -> Tensor:
        found: list[Tensor] = []
        for turn in range(shifts):
            begin = turn * hop // shifts
            # All are of one length, for a network that is made anew for each.
            sources = network(pad(chunks, (begin, hop - begin)))
            sources = sources[..., begin : begin + chunks.shape[1]].float()
            found.append(_in_order(sources, found[0]) if found else sources)
        return torch.stack(found).mean(0)

    return mean


def _in_order(sources: Tensor, first: Tensor) -> Tensor:
    """Sources (B, N, S) in the order in which they are most alike to others."""
    _, own = pit(-(sources @ first.mT))
    return sources.gather(1, own[..., None].expand_as(sources))
