"""CUDA graphs: a whole network launched at once, for each shape that comes again."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cplxsep.errors import tell
from cplxsep.nn.device import out_of_memory

EAGER_RUNS = 2  # of a shape before it is captured: libraries settle, and short work never pays
MOST = 16  # graphs at a time: each holds what goes in and what comes out


class _Graph(NamedTuple):
    graph: torch.cuda.CUDAGraph
    given: Tensor
    found: Tensor


class GraphedNetwork(nn.Module):
    """A network (B, 2, F, T) -> (B, 2N, F, T) with a static graph for each input shape.

    Batches are brought to a power of two, by rows that nobody looks at, so that there are few
    shapes; all graphs work in the same memory, one after the other. The STFT and its inverse stay
    outside. The output is overwritten by the next call of the same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._runs: dict[torch.Size, int] = {}
        self._graphs: dict[torch.Size, _Graph] = {}
        self._fails = False

    def forward(self, mixture: Tensor) -> Tensor:
        count = len(mixture)
        rows = 1 << (count - 1).bit_length()
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
            if out_of_memory(error):
                raise
            self._fails = True
            why = str(error).strip().partition("\n")[0]
            tell(f"no CUDA graphs, separating is slower: {why}")
        return not self._fails

    def _captured(self, mixture: Tensor) -> _Graph:
        given = mixture.clone()
        # What a capture needs must be ready on a stream that is not the default one.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.network(given)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        pool = next(iter(self._graphs.values())).graph.pool() if self._graphs else None
        # Other threads may go on with their own work meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            found = self.network(given)
        return _Graph(graph, given, found)
