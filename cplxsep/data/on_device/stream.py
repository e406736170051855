"""Batches made on a device, several at once, drawn ahead of the step in threads."""

import itertools
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from torch import Tensor

from cplxsep.data.on_device.recipe import OnDevice
from cplxsep.parallel import in_order

# Threads that draw hold Python's lock: after each wait for the device the caller waits for it, too.
_TURN_SECONDS = 5e-4


def made_there(
    sets: Sequence[OnDevice], first_step: int, batch: int, workers: int, ahead: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """As training.batches: mixtures (B, S) and sources (B, N, S) for `first_step` and after it.

    Always the same batches are made together, so that a step's depends on its number alone. Only
    the caller's thread uses the device: others would disturb the recording of a CUDA graph.
    """
    group = [one.at_once(batch) for one in sets]

    def groups() -> Iterator[tuple[int, int, bool]]:
        """For each step its set, its batch there, and whether that needs a new group."""
        held = [-1] * len(sets)
        for step in itertools.count(first_step):
            number, own = step % len(sets), step // len(sets)
            new = held[number] != own // group[number]
            held[number] = own // group[number]
            yield number, own, new

    def draw(item: tuple[int, int, bool]) -> Any:
        number, own, _ = item
        first = own - own % group[number]
        steps = (turn * len(sets) + number for turn in range(first, first + group[number]))
        indices = [step * batch + at for step in steps for at in range(batch)]
        return sets[number].draw(indices)

    made: dict[int, list[Sequence[Tensor]]] = {}
    needed = (item for item in groups() if item[2])
    # What draws ahead is closed before the pool, which would wait for all that is to be drawn.
    with (
        _short_turns(),
        ThreadPoolExecutor(workers, "drawing") as pool,
        closing(in_order(pool, draw, needed, ahead)) as drawn,
    ):
        for number, own, new in groups():
            if new:
                made.pop(number, None)  # its memory is for the next
                made[number] = [part.split(batch) for part in sets[number].make(next(drawn))]
            at = own % group[number]
            yield made[number][0][at], made[number][1][at]


@contextmanager
def _short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
