"""Blocks of a signal on their way: checked, resampled, cut to length. Numpy and soxr only."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from cplxsep.errors import InputError

Blocks = Iterable[np.ndarray]
SILENT = 1e-20  # power: what rounding leaves of a constant


@dataclass(frozen=True)
class Part:
    """A part of a recording, in seconds: from `start` on, to its end where `duration` is None."""

    start: float = 0.0
    duration: float | None = None

    def frames(self, of: int, sample_rate: int) -> int:
        """How many of a recording's samples are in it."""
        first, most = self._bounds(sample_rate)
        left = max(of - first, 0)
        return left if most is None else min(left, most)

    def cut(self, blocks: Blocks, sample_rate: int) -> Iterator[np.ndarray]:
        """What of the blocks (..., S) is in it; no more is read than that takes."""
        skip, left = self._bounds(sample_rate)
        for block in blocks:
            passed = min(skip, block.shape[-1])
            skip -= passed
            end = None if left is None else passed + left
            inside = block[..., passed:end]
            if left is not None:
                left -= inside.shape[-1]
            if inside.shape[-1]:
                yield inside
            if left == 0:
                return

    def _bounds(self, sample_rate: int) -> tuple[int, int | None]:
        first = round(self.start * sample_rate)
        return first, None if self.duration is None else max(round(self.duration * sample_rate), 1)


WHOLE = Part()


class Waiting:
    """Samples that wait until the separated ones have come."""

    def __init__(self) -> None:
        self._parts: deque[np.ndarray] = deque()

    def put(self, block: np.ndarray) -> None:
        """Add a block (S,). Copied: its owner may fill the same memory with the next one."""
        self._parts.append(block.copy())

    def take(self, count: int) -> np.ndarray:
        """The next `count` samples."""
        taken = [np.zeros(0, np.float32)]
        while count > 0:
            part = self._parts.popleft()
            if part.size > count:
                self._parts.appendleft(part[count:])
            taken.append(part[:count])
            count -= taken[-1].size
        return np.concatenate(taken)


class Tap:
    """Passes blocks on, counts their samples, and knows whether they have ended."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.copy_to: Waiting | None = None
        self.samples = 0
        self.ended = False

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += block.shape[-1]
            if self.copy_to is not None:
                self.copy_to.put(block)
            yield block
        self.ended = True


class Meter:
    """Passes blocks (S,) or (C, S) on and knows their level."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._samples = 0
        self._sum: np.ndarray | float = 0.0  # of each channel
        self._energy: np.ndarray | float = 0.0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self._samples += block.shape[-1]
            self._sum = self._sum + block.sum(axis=-1, dtype=np.float64)
            self._energy = self._energy + np.square(block, dtype=np.float64).sum(axis=-1)
            yield block

    @property
    def level(self) -> float | None:
        """RMS of all channels less their means, in dB re full scale; None for silence."""
        count = max(self._samples, 1)
        power = float(np.mean(self._energy / count - np.square(self._sum / count)))
        return round(10 * float(np.log10(power)), 2) if power > SILENT else None


def checked(blocks: Blocks) -> Iterator[np.ndarray]:
    """Float32 blocks (S,). InputError: no floats, another shape, or samples that are not finite."""
    for block in blocks:
        given = np.asarray(block)
        if given.dtype.kind != "f":
            raise InputError(f"samples are {given.dtype}, not floats{_scale(given.dtype)}")
        samples = given.astype(np.float32, copy=False)
        if samples.ndim == 2 and len(samples) == 1:
            samples = samples[0]
        if samples.ndim != 1:
            shape = f"{samples.shape}{_one_of(samples.shape)}"
            raise InputError(f"expected one channel of samples, found shape {shape}")
        if not np.isfinite(samples).all():
            raise InputError("samples are not all finite (NaN or infinity)")
        if samples.size:
            yield samples


def _scale(dtype: np.dtype) -> str:
    """How integers become floats whose full scale is 1."""
    if dtype.kind not in "iu":
        return ""
    full = 1 << (8 * dtype.itemsize - 1)
    return f": pass x / {full}" if dtype.kind == "i" else f": pass (x - {full}.0) / {full}"


def _one_of(shape: tuple[int, ...]) -> str:
    """How many channels become one."""
    if len(shape) != 2:
        return ""
    one, mean = ("x[0]", "x.mean(0)") if shape[0] < shape[1] else ("x[:, 0]", "x.mean(1)")
    return f": pass {one}, or the mean {mean}"


def resampled(blocks: Blocks, from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
    """Blocks (S,) or (N, S) at another rate; the same blocks where the rates agree."""
    if from_rate == to_rate:
        yield from blocks
        return
    stream: soxr.ResampleStream | None = None
    shape: tuple[int, ...] = ()
    for block in blocks:
        if stream is None:
            shape = block.shape[:-1]
            channels = shape[0] if shape else 1
            stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32")
        yield stream.resample_chunk(np.ascontiguousarray(block.T)).T
    if stream is not None:
        yield stream.resample_chunk(np.zeros((0, *shape), np.float32), last=True).T


def fitted(blocks: Blocks, source: Tap, total: Callable[[], int]) -> Iterator[np.ndarray]:
    """Blocks cut or padded with zeros to `total` samples, known once `source` has ended."""
    count, shape = 0, (1,)
    for block in blocks:
        if source.ended:
            block = block[..., : max(total() - count, 0)]
        count, shape = count + block.shape[-1], block.shape
        yield block
    missing = total() - count if source.samples else 0
    if missing > 0:
        yield np.zeros((*shape[:-1], missing), np.float32)
