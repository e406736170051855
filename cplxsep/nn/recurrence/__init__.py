"""The gated recurrence with turning complex states: one operator, several forms."""

from torch import Tensor

from cplxsep.nn import fast
from cplxsep.nn.recurrence.native import NativeRecurrence
from cplxsep.nn.recurrence.statement import Along, loop

__all__ = ["Along", "recurrence"]


def recurrence(projection: Tensor, bias: Tensor, theta: Tensor, along: Along) -> Tensor:
    """States (B, F, T, 4K) of projections (B, F, T, 6K), in the fastest form there is.

    Args as for `statement.loop`, which says what is computed.
    """
    library = fast.native("recurrence", projection)
    if library is not None:
        return NativeRecurrence.apply(library, projection, bias, theta, along)
    return loop(projection, bias, theta, along)
