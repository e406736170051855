"""Separates a signal by a causal model, as it comes: no chunks, no joints."""

from collections.abc import Iterator

import numpy as np

from cplxsep.engine.blocks import Blocks, Waiting
from cplxsep.engine.finish import Finish
from cplxsep.engine.offset import OffsetFilter
from cplxsep.engine.runtime import Advance


def onward(
    advance: Advance, blocks: Blocks, finish: Finish, sample_rate: int, most: int
) -> Iterator[np.ndarray]:
    """Sources and guides (N + K, S) of blocks (S,), each as soon as it is complete.

    Args:
        most: samples at once.
    """
    heard, without_offset, any_samples = Waiting(), OffsetFilter(sample_rate), False
    pieces = _gathered(blocks, most) if finish.above == "follow" else _cut(blocks, most)
    for piece in pieces:
        any_samples = True
        heard.put(piece)
        sources = advance(without_offset(piece), False)
        if sources.shape[1]:
            yield _guided(heard, sources, finish, sample_rate)
    if any_samples:
        sources = advance(np.zeros(0, np.float32), True)
        yield _guided(heard, sources, finish, sample_rate)


def _guided(heard: Waiting, sources: np.ndarray, finish: Finish, sample_rate: int) -> np.ndarray:
    mixture = heard.take(sources.shape[1])
    return np.concatenate([sources, finish.guides(mixture, sources, sample_rate)])


def _cut(blocks: Blocks, most: int) -> Iterator[np.ndarray]:
    for block in blocks:
        for begin in range(0, len(block), most):
            yield block[begin : begin + most]


def _gathered(blocks: Blocks, length: int) -> Iterator[np.ndarray]:
    """Blocks of one length, and a last one: what is measured in each is the same for all blocks."""
    held = np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= length:
            yield held[:length]
            held = held[length:]
    if len(held):
        yield held
