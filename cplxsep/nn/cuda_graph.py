"""Work captured as a CUDA graph, and what is to be told where it cannot be."""

import gc
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

from cplxsep.errors import first_line
from cplxsep.nn.device import out_of_memory

Result = TypeVar("Result")


def capture(
    work: Callable[[], Result], stream: torch.cuda.Stream, pool: Any, dry_runs: int
) -> tuple[torch.cuda.CUDAGraph, Result]:
    """`work` as a graph, after dry runs of it, and what it gives, which a replay makes anew.

    Args:
        stream: of the current device, not its default one; the same for all graphs of a pool.
        pool: memory that the graph shares with others, which run before or after it; or None.

    Raises whatever the work, or the end of its capture, raises; `why_not` makes sense of that.
    """
    graph, current = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        # What a capture needs, libraries make in a run before it on the same stream.
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(dry_runs):
                work()
        current.wait_stream(stream)
        torch.cuda.synchronize()
        gc.collect()  # nothing of the GPU may be let go during the capture
        # Other threads go on with their own work meanwhile, and pin memory for it.
        with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
            result = work()
    finally:
        torch.cuda.set_stream(current)  # which a capture that fails leaves at its own
    return graph, result


def why_not(error: Exception) -> str:
    """Why a capture failed, in one line: what the error first came of.

    Raises:
        RuntimeError: memory did not suffice, which the end of a capture has another error for.
    """
    causes = list(_causes(error))
    if short := next(filter(out_of_memory, causes), None):
        raise short from None
    return first_line(causes[-1])[:200]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came of."""
    while error is not None:
        yield error
        error = error.__context__
