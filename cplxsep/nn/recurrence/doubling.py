"""The recurrence in plain PyTorch without a step for each position: what a GPU without Triton runs.

A position maps the state h to g h + b, with g = a e^{i theta} and b = (1 - a) x. Two such maps one
after the other are one such map, so that after the n-th round each position holds the map of the
2^n positions up to it, and after log2(L) rounds that of all (Hillis and Steele 1986).
"""

import torch
from torch import Tensor

from cplxsep.nn.recurrence.statement import Along, both_ways


def doubling(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    """As `statement.loop`; memory grows with the logarithm of the length."""
    return both_ways(_one_way, projection, bias, theta, along)


def _one_way(given: Tensor, theta: Tensor, axis: int) -> Tensor:
    """As `statement.OneWay`. Beyond the beginning there are maps to zero of a state of zero."""
    z, x_r, x_i = given.chunk(3, dim=-1)
    a = torch.sigmoid(z)
    g_r, g_i = a * torch.cos(theta), a * torch.sin(theta)
    b_r, b_i = (1 - a) * x_r, (1 - a) * x_i
    length, reach = given.shape[axis], 1
    while reach < length:
        of_r, of_i = _product(g_r, g_i, _delayed(b_r, reach, axis), _delayed(b_i, reach, axis))
        b_r, b_i = b_r + of_r, b_i + of_i
        if 2 * reach < length:
            g_r, g_i = _product(g_r, g_i, _delayed(g_r, reach, axis), _delayed(g_i, reach, axis))
        reach *= 2
    return torch.cat([b_r, b_i], dim=-1)


def _delayed(part: Tensor, by: int, axis: int) -> Tensor:
    """Each position's value `by` positions before, zero before the first."""
    kept = part.narrow(axis, 0, part.shape[axis] - by)
    return torch.cat([torch.zeros_like(part.narrow(axis, 0, by)), kept], dim=axis)


def _product(a_r: Tensor, a_i: Tensor, b_r: Tensor, b_i: Tensor) -> tuple[Tensor, Tensor]:
    return a_r * b_r - a_i * b_i, a_r * b_i + a_i * b_r
