"""The gated recurrence with turning complex states, stated plainly; the oracle of its other forms.

Source: TEMPORAL.md sections 2 and 3. With a gate a_t = sigmoid(z_t) and a turn theta of each state,

    h_t = a_t e^{i theta} h_{t-1} + (1 - a_t) x_t,

once from the first position to the last and once back, each direction with states of its own;
along past frames both run from the first to the last.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

# Which axis of maps (B, F, T, C) it runs along, both ways: from band to band, or from frame to
# frame. Along past frames all states run forward, so that no frame depends on a later one.
Along = Literal["bands", "frames", "past frames"]
AXIS: dict[Along, int] = {"bands": 1, "frames": 2, "past frames": 2}

# States (B, F, T, 2K) of z, Re x, Im x (B, F, T, 3K) and of turns (K,), forward along an axis.
OneWay = Callable[[Tensor, Tensor, int], Tensor]


def loop(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    """States (B, F, T, 4K): for each direction Re h, Im h.

    Args:
        projection: (B, F, T, 6K), for each direction z, Re x, Im x without their bias.
        bias: (6K,) that is added to it.
        theta: (2, K) in radians a step, of each direction.
        along: the axis that it runs along.
    """
    return both_ways(_one_way, projection, bias, theta, along)


def both_ways(
    one_way: OneWay, projection: Tensor, bias: Tensor, theta: Tensor, along: Along
) -> Tensor:
    """All states, of which `one_way` finds those of a first direction; args as for `loop`.

    States and gates are float32 at least, whatever the type of the maps.
    """
    axis, wide = AXIS[along], torch.promote_types(theta.dtype, torch.float32)
    first, second = (projection.to(wide) + bias.to(wide)).chunk(2, dim=-1)
    theta = theta.to(wide)
    there = one_way(first, theta[0], axis)
    if along == "past frames":
        back = one_way(second, theta[1], axis)
    else:
        back = one_way(second.flip(axis), theta[1], axis).flip(axis)
    return torch.cat([there, back], dim=-1).to(projection.dtype)


def step(given: Tensor, theta: Tensor, state: Tensor) -> Tensor:
    """The state (..., 2K) after one more position, for one direction.

    Args:
        given: (..., 3K), z, Re x, Im x with their bias.
        theta: (K,). state: (..., 2K), Re h, Im h of the position before; zeros at the first.
    """
    z, x_r, x_i = given.chunk(3, dim=-1)
    h_r, h_i = state.chunk(2, dim=-1)
    a, c, s = torch.sigmoid(z), torch.cos(theta), torch.sin(theta)
    turned_r, turned_i = c * h_r - s * h_i, s * h_r + c * h_i
    return torch.cat([a * turned_r + (1 - a) * x_r, a * turned_i + (1 - a) * x_i], dim=-1)


def _one_way(given: Tensor, theta: Tensor, axis: int) -> Tensor:
    """As `OneWay`, one position after the other."""
    states, state = [], given.new_zeros(*given.select(axis, 0).shape[:-1], 2 * len(theta))
    for position in given.unbind(axis):
        state = step(position, theta, state)
        states.append(state)
    return torch.stack(states, dim=axis)
