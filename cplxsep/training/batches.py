"""Batches of mixtures, made ahead of the training step in threads."""

import itertools
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cplxsep.data.on_device.recipe import OnDevice
from cplxsep.data.on_device.stream import made_there
from cplxsep.data.rounds import stack
from cplxsep.parallel import in_order

PREFETCH = 2  # batches that wait, beside those in the making


class Examples(Protocol):
    """Mixtures by number; the same number always gives the same example."""

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and sources (N, S), float32."""


def batches(
    sets: Sequence[Examples] | Sequence[OnDevice],
    first_step: int,
    batch: int,
    *,
    share: range | None = None,
    workers: int = 1,
    pinned: bool = False,
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Mixtures (B, S) and sources (B, N, S) for `first_step` and the steps after it.

    Steps take the `sets` of examples, which may be of different rates, in turn.
    A step's batch depends on its number alone: a resumed run sees what the first would have, and
    several processes, each with its `share` of the items, see together what one would.
    `pinned` memory lets a GPU fetch a batch while it computes; what is made on it is there.
    """
    there = [one for one in sets if isinstance(one, OnDevice)]
    if there:
        yield from made_there(there, first_step, batch, workers, workers + PREFETCH)
        return
    here = [one for one in sets if not isinstance(one, OnDevice)]
    items = range(batch) if share is None else share

    def make(step: int) -> tuple[Tensor, Tensor]:
        examples = here[step % len(here)]
        pairs = [examples.example(step * batch + item) for item in items]
        mixtures, sources = map(torch.from_numpy, stack(pairs))
        return (mixtures.pin_memory(), sources.pin_memory()) if pinned else (mixtures, sources)

    # Threads suffice: resampling, the greatest part, lets the others run. One makes some 2700 s
    # of two-talker mixtures a second on one core of an EPYC.
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="mixing") as pool:
        yield from in_order(pool, make, itertools.count(first_step), workers + PREFETCH)
