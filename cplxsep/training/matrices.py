"""Which parameters multiply maps as matrices, and which only scale, shift or turn them."""

from collections.abc import Iterable

from torch import nn


def matrices(
    named: Iterable[tuple[str, nn.Parameter]],
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Those that get weight decay, and Muon's orthogonal updates, and the rest; order is kept.

    Kernels of convolutions have more than two dimensions. Of two are linear maps, whose own names
    begin with "weight", but also a complex norm's gain (3, C) and bias (2, C), and the angles of
    a recurrence (2, K).
    """
    found: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in named:
        linear = parameter.dim() == 2 and name.rpartition(".")[2].startswith("weight")
        found[0 if parameter.dim() > 2 or linear else 1].append(parameter)
    return found
