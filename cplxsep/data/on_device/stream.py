"""Batches made on a device, several at once, drawn ahead of the step by other processes."""

import itertools
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing

from torch import Tensor

from cplxsep.data.drawing.worker import draw, hold
from cplxsep.data.on_device.recipe import OnDevice
from cplxsep.parallel import in_order
from cplxsep.process_pool import own_processes


def made_there(
    sets: Sequence[OnDevice], first_step: int, batch: int, workers: int, ahead: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """As training.batches: mixtures (B, S) and sources (B, N, S) for `first_step` and after it.

    Always the same batches are made together, so that a step's depends on its number alone. Only
    the caller's thread uses the device: others would disturb the recording of a CUDA graph.

    InputError: a process that draws was ended.
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

    def needed() -> Iterator[tuple[int, list[int]]]:
        """What is drawn together: a set and the numbers of examples."""
        for number, own, new in groups():
            if new:
                first = own - own % group[number]
                turns = range(first, first + group[number])
                steps = (turn * len(sets) + number for turn in turns)
                yield number, [step * batch + at for step in steps for at in range(batch)]

    made: dict[int, list[Sequence[Tensor]]] = {}
    drawings = [one.drawing for one in sets]
    # Threads would not do: drawing is Python, and holds its lock. What draws ahead is closed
    # before the pool, which would wait for all that is to be drawn.
    with (
        own_processes(workers, "draws mixtures", "train.workers", hold, drawings) as pool,
        closing(in_order(pool, draw, needed(), ahead)) as drawn,
    ):
        for number, own, new in groups():
            if new:
                made.pop(number, None)  # its memory is for the next
                made[number] = [part.split(batch) for part in sets[number].make(next(drawn))]
            at = own % group[number]
            yield made[number][0][at], made[number][1][at]
