"""Enhancement of recordings of any number of channels, with a separator of one source."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cplxsep.audio.level import from_db
from cplxsep.engine.finish import Above

if TYPE_CHECKING:
    from cplxsep.engine.separator import Separator


@dataclass(frozen=True)
class Enhancement:
    """What is done beside taking out the noise.

    above: what becomes of the band above the model's. keep_noise: give what was taken out, too.
    mix_back: level in dB at which what was taken out is added again, None for not at all.
    """

    above: Above = "follow"
    keep_noise: bool = False
    mix_back: float | None = None


def enhanced(
    separator: "Separator",
    blocks: Iterable[np.ndarray],
    channels: int,
    sample_rate: int,
    what: Enhancement,
    *,
    at_model_rate: bool = False,
) -> Iterator[np.ndarray]:
    """Enhanced blocks (1, C, S), or (2, C, S) with the noise, of blocks (C, S) in constant memory.

    Each channel is enhanced for itself.

    Raises:
        InputError, UsageError: as `Separator.stream`.
    """
    streams = [
        separator.stream(
            channel,
            sample_rate,
            at_model_rate=at_model_rate,
            rest=True,
            above=what.above,
        )
        for channel in _apart(blocks, channels)
    ]
    left = 0.0 if what.mix_back is None else from_db(what.mix_back)
    # Equal blocks in give equal lengths out, whatever a channel holds.
    for parts in zip(*streams, strict=True):
        voice, noise = np.stack(parts, axis=1)
        if left:
            voice, noise = voice + np.float32(left) * noise, np.float32(1 - left) * noise
        yield np.stack([voice, noise] if what.keep_noise else [voice])


def _apart(blocks: Iterable[np.ndarray], channels: int) -> list[Iterator[np.ndarray]]:
    """The channels (S,) of blocks (C, S), each read for itself, in threads of their own on a GPU.

    A block is kept until the last channel has taken its part.
    """
    source, lock = iter(blocks), threading.Lock()
    waiting: list[deque[np.ndarray]] = [deque() for _ in range(channels)]
    failed: list[BaseException] = []

    def read_on() -> None:
        if failed:  # for every channel where it was for the first
            raise failed[0]
        try:
            block = next(source, None)
        except BaseException as error:
            failed.append(error)
            raise
        if block is not None:
            for own, part in zip(waiting, block, strict=True):
                own.append(part)

    def channel(own: deque[np.ndarray]) -> Iterator[np.ndarray]:
        while True:
            with lock:
                if not own:
                    read_on()
                if not own:
                    return
                part = own.popleft()
            yield part

    return [channel(own) for own in waiting]
