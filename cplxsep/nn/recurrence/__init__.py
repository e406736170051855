"""The gated recurrence with turning complex states: one operator, several forms."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from cplxsep.nn.backends import Operator
from cplxsep.nn.recurrence.doubling import doubling
from cplxsep.nn.recurrence.native import NativeRecurrence
from cplxsep.nn.recurrence.statement import Along, loop

__all__ = ["RECURRENCE", "Along", "continued", "recurrence"]

_SHUT = -88.0  # a gate's logit at which nothing of the state before passes

Recurrence = Callable[[Tensor, Tensor, Tensor, Along], Tensor]


def recurrence(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    """States (B, F, T, 4K) of projections (B, F, T, 6K), in the fastest form there is.

    Args as for `statement.loop`, which says what is computed.
    """
    return RECURRENCE.form(projection)(projection, bias, theta, along)


def continued(projection: Tensor, bias: Tensor, theta: Tensor, last: Tensor | None) -> Tensor:
    """As `recurrence` along past frames, behind a frame whose states were (B, F, 1, 4K).

    None: behind silence.
    """
    if last is None:
        return recurrence(projection, bias, theta, "past frames")
    # One frame more in front, whose gate is shut and whose candidates are those states.
    parts = last.unflatten(-1, (2, 2, -1))
    first = torch.cat([torch.full_like(parts[..., :1, :], _SHUT), parts], dim=-2).flatten(-3)
    whole = torch.cat([first - bias.to(first.dtype), projection], dim=2)
    return recurrence(whole, bias, theta, "past frames")[:, :, 1:]


def _plain(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    form = doubling if projection.is_cuda else loop
    return form(projection, bias, theta, along)


def _triton() -> Recurrence:
    from cplxsep.nn.recurrence.triton_form import TritonRecurrence

    return TritonRecurrence.apply


RECURRENCE: Operator[Recurrence] = Operator(
    "recurrence", _plain, partial(partial, NativeRecurrence.apply), triton=_triton
)
