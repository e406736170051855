"""Batches of mixtures, made ahead of the training step in a thread."""

from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

AHEAD = 3


class Examples(Protocol):
    """Mixtures by number; the same number always gives the same example."""

    def example(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Mixture (S,) and sources (N, S), float32."""


def batches(
    examples: Examples, first_step: int, batch: int
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Mixtures (B, S) and sources (B, N, S) for `first_step` and the steps after it.

    A step's batch depends on its number alone: a resumed run sees what the first would have.
    """

    def make(step: int) -> tuple[Tensor, Tensor]:
        pairs = [examples.example(step * batch + item) for item in range(batch)]
        mixtures, sources = zip(*pairs, strict=True)
        return torch.from_numpy(np.stack(mixtures)), torch.from_numpy(np.stack(sources))

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="mixing") as pool:
        waiting: list[Future[tuple[Tensor, Tensor]]] = []
        step = first_step
        try:
            while True:
                while len(waiting) < AHEAD:
                    waiting.append(pool.submit(make, step))
                    step += 1
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()
