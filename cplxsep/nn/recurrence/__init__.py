"""The gated recurrence with turning complex states: one operator, several forms."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from cplxsep.nn.backends import Operator
from cplxsep.nn.recurrence.doubling import doubling
from cplxsep.nn.recurrence.native import NativeRecurrence
from cplxsep.nn.recurrence.statement import Along, loop, step

__all__ = ["RECURRENCE", "Along", "recurrence", "step"]

Recurrence = Callable[[Tensor, Tensor, Tensor, Along], Tensor]


def recurrence(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    """States (B, F, T, 4K) of projections (B, F, T, 6K), in the fastest form there is.

    Args as for `statement.loop`, which says what is computed.
    """
    return RECURRENCE.form(projection)(projection, bias, theta, along)


def _plain(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    form = doubling if projection.is_cuda else loop
    return form(projection, bias, theta, along)


def _triton() -> Recurrence:
    from cplxsep.nn.recurrence.triton_form import TritonRecurrence

    return TritonRecurrence.apply


RECURRENCE: Operator[Recurrence] = Operator(
    "recurrence", _plain, partial(partial, NativeRecurrence.apply), triton=_triton
)
