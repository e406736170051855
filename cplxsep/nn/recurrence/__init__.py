"""The gated recurrence with turning complex states: one operator, several forms."""

from torch import Tensor

from cplxsep.nn import fast
from cplxsep.nn.recurrence.doubling import doubling
from cplxsep.nn.recurrence.native import NativeRecurrence
from cplxsep.nn.recurrence.statement import Along, loop, step
from cplxsep.nn.triton_ready import triton_ready

__all__ = ["Along", "recurrence", "step"]


def recurrence(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    """States (B, F, T, 4K) of projections (B, F, T, 6K), in the fastest form there is.

    Args as for `statement.loop`, which says what is computed.
    """
    library = fast.native("recurrence", projection)
    if library is not None:
        return NativeRecurrence.apply(library, projection, bias, theta, along)
    if triton_ready(projection):
        from cplxsep.nn.recurrence.triton_form import TritonRecurrence

        return TritonRecurrence.apply(projection, bias, theta, along)
    form = doubling if projection.is_cuda else loop
    return form(projection, bias, theta, along)
