"""CUDA graphs: a whole network launched at once, for each shape that comes again."""

import torch
from torch import Tensor, nn

EAGER_RUNS = 2  # of a shape before it is captured: libraries settle, and short work never pays


class GraphedNetwork(nn.Module):
    """A network (B, 2, F, T) -> (B, 2N, F, T) with a static graph for each input shape.

    The STFT and its inverse stay outside: they ask the host about values, which a graph cannot.
    The output is overwritten by the next call of the same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._runs: dict[torch.Size, int] = {}
        self._graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def forward(self, mixture: Tensor) -> Tensor:
        shape = mixture.shape
        if shape not in self._graphs:
            self._runs[shape] = self._runs.get(shape, 0) + 1
            if self._runs[shape] <= EAGER_RUNS:
                return self.network(mixture)
            self._graphs[shape] = self._captured(mixture)
        graph, given, found = self._graphs[shape]
        given.copy_(mixture)
        graph.replay()
        return found

    def _captured(self, mixture: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        given = mixture.clone()
        # What a capture needs must be ready on a stream that is not the default one.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self.network(given)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Other threads may go on with their own work meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            found = self.network(given)
        return graph, given, found
