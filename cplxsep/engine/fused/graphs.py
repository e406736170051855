"""CUDA graphs: a whole network launched at once, for each shape that comes again."""

from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.errors import tell
from cplxsep.nn.cuda_graph import capture, why_not

EAGER_RUNS = 2  # of a shape before it is captured: libraries settle, and short work never pays
MOST = 16  # graphs at a time: each holds what goes in and what comes out
SMALL = 16  # rows of a batch, up to which its size is a power of two


class _Graph(NamedTuple):
    graph: torch.cuda.CUDAGraph
    given: Tensor
    found: Tensor


class GraphedNetwork(nn.Module):
    """A network (B, 2, F, T) -> (B, 2N, F, T) with a static graph for each input shape.

    Batches are brought to few sizes, by rows that nobody looks at; all graphs work in the same
    memory, one after the other. The STFT and its inverse stay outside. The output is overwritten by
    the next call of the same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._runs: dict[torch.Size, int] = {}
        self._graphs: dict[torch.Size, _Graph] = {}
        self._stream: torch.cuda.Stream | None = None  # of its own: another GPU has another
        self._fails = False

    def forward(self, mixture: Tensor) -> Tensor:
        count = len(mixture)
        rows = _rows(count)
        shape = torch.Size((rows, *mixture.shape[1:]))
        self._runs[shape] = self._runs.get(shape, 0) + 1
        if shape not in self._graphs:
            padded = F.pad(mixture, (0, 0) * (mixture.dim() - 1) + (0, rows - count))
            if not (self._pays(shape) and self._capture(shape, padded)):
                return self.network(padded)[:count]
        graph, given, found = self._graphs[shape]
        given[:count].copy_(mixture)
        graph.replay()
        return found[:count]

    def _pays(self, shape: torch.Size) -> bool:
        """Whether to capture a shape; where there is no room, that of a far rarer one is made."""
        if self._runs[shape] <= EAGER_RUNS or self._fails:
            return False
        if len(self._graphs) == MOST:
            rarest = min(self._graphs, key=self._runs.__getitem__)
            if self._runs[shape] < 2 * self._runs[rarest]:
                return False
            torch.cuda.synchronize()  # it may be at work
            del self._graphs[rarest]
        return True

    def _capture(self, shape: torch.Size, mixture: Tensor) -> bool:
        """Make the graph of a shape, unless this machine makes none, which is told once."""
        try:
            self._graphs[shape] = self._captured(mixture)
        except RuntimeError as error:
            why = why_not(error)
            self._fails = True
            tell(f"no CUDA graphs, separating is slower: {why}")
        return not self._fails

    def _captured(self, mixture: Tensor) -> _Graph:
        if self._stream is None:
            self._stream = torch.cuda.Stream()
        pool = next(iter(self._graphs.values())).graph.pool() if self._graphs else None
        given = mixture.clone()
        graph, found = capture(partial(self.network, given), self._stream, pool, dry_runs=1)
        return _Graph(graph, given, found)


def _rows(count: int) -> int:
    """The next power of two, or of larger batches three quarters of one, to waste less."""
    power = 1 << (count - 1).bit_length()
    between = 3 * power // 4
    return between if SMALL < count <= between else power
