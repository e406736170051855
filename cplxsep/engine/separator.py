"""The public way to separate: whole signals or streams, any rate, any length."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np
import soxr
import torch
from torch import Tensor, nn

from cplxsep.engine.chunks import Chunk, ChunkPlan, Cutter, Joiner
from cplxsep.engine.runtime import Runner
from cplxsep.engine.seams import Seam, TalkerOrder
from cplxsep.engine.shelf import DEFAULT_MODEL, resolve
from cplxsep.errors import InputError, UsageError
from cplxsep.networks import registry
from cplxsep.nn.device import pick_device, pick_precision

Blocks = Iterable[np.ndarray]
GPU_BATCH = 8  # chunks at once; the CPU is busy with one


class Separator:
    """Separates single-channel recordings of any length and sample rate.

    Args:
        model: network (B, S) -> (B, N, S) with attributes `sample_rate` (Hz) and `sources`.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, bf16 or fp16; auto is bf16 on CUDA and fp32 elsewhere.
        chunk: length in seconds of the pieces that the network sees.
        overlap: of neighbouring chunks, as a fraction of a chunk, at most 0.5.
        batch: chunks computed at once, "auto" or a number.

    Raises:
        UsageError, DeviceError: an argument or the device cannot be used.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: str = "auto",
        precision: str = "auto",
        chunk: float = 8.0,
        overlap: float = 0.25,
        batch: int | str = "auto",
    ) -> None:
        description: Any = model
        self.sample_rate: int = description.sample_rate
        self.sources: int = description.sources
        self.plan = ChunkPlan.of(chunk, overlap, self.sample_rate)
        where = pick_device(device)
        dtype = pick_precision(precision, where, auto_on_cpu=False)
        self._runner = Runner(model, where, dtype, _batch_size(batch, where))

    @classmethod
    def load(cls, model: str | Path = DEFAULT_MODEL, **options: Any) -> "Separator":
        """Separator with a shipped model or a checkpoint folder; options as for the class.

        Raises:
            ModelError: there is no such model, or it is corrupt.
        """
        return cls(registry.load(resolve(model)), **options)

    @property
    def device(self) -> str:
        """Name of the device in use."""
        return str(self._runner.device)

    @property
    def precision(self) -> str:
        """Precision in use: fp32, bf16 or fp16."""
        names = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
        return names[self._runner.dtype]

    @property
    def block_seconds(self) -> float:
        """Length of blocks with which `stream` fills its batches."""
        return self._runner.batch * self.plan.hop / self.sample_rate

    @overload
    def __call__(self, waveform: np.ndarray, sample_rate: int, **options: Any) -> np.ndarray: ...

    @overload
    def __call__(self, waveform: Tensor, sample_rate: int, **options: Any) -> Tensor: ...

    def __call__(
        self, waveform: np.ndarray | Tensor, sample_rate: int, **options: Any
    ) -> np.ndarray | Tensor:
        """Sources (N, S), float32, of a waveform (S,) or (1, S), at the same rate and length.

        Gives a tensor, on the waveform's device, for a tensor. Options as for `stream`.

        Raises:
            InputError: the waveform has another shape or samples that are not finite.
        """
        if isinstance(waveform, Tensor):
            sources = self(waveform.detach().cpu().float().numpy(), sample_rate, **options)
            return torch.from_numpy(sources).to(waveform.device)
        parts = list(self.stream([waveform], sample_rate, **options))
        empty = np.zeros((self.sources, 0), np.float32)
        return np.concatenate([empty, *parts], axis=1)

    def stream(
        self,
        blocks: Blocks,
        sample_rate: int,
        *,
        at_model_rate: bool = False,
        sum_to_mix: bool = False,
        seams: list[Seam] | None = None,
    ) -> Iterator[np.ndarray]:
        """Separated blocks (N, S) of a signal that comes in blocks (S,), in constant memory.

        The output lags behind by up to one chunk; its blocks' lengths differ from the input's,
        their sum does not.

        Args:
            sample_rate: of the blocks, in Hz.
            at_model_rate: give the sources at the model's rate instead of the input's.
            sum_to_mix: spread what is missing to the mixture equally over the sources.
            seams: a list to which is added how each chunk was joined to the one before.

        Raises:
            InputError: a block has another shape or samples that are not finite.
        """
        if sample_rate < 1:
            raise UsageError(f"sample rate {sample_rate} is not positive")
        mixture = _Queue()
        given = _Tap(_checked(blocks))
        at_rate = _Tap(
            _fitted(
                _resampled(given, sample_rate, self.sample_rate),
                given,
                lambda: max(round(given.samples * self.sample_rate / sample_rate), 1),
            )
        )
        (at_rate if at_model_rate else given).copy_to = mixture if sum_to_mix else None
        sources = self._separate(at_rate, seams)
        if not at_model_rate:
            back = _resampled(sources, self.sample_rate, sample_rate)
            sources = _fitted(back, given, lambda: given.samples)
        for part in sources:
            if sum_to_mix:
                part = part + (mixture.take(part.shape[1]) - part.sum(axis=0)) / len(part)
            yield part

    def _separate(self, blocks: Blocks, seams: list[Seam] | None) -> Iterator[np.ndarray]:
        """Sources (N, S) of blocks (S,), all at the model's rate."""
        cutter, joiner = Cutter(self.plan), Joiner(self.plan)
        order = TalkerOrder(self.sample_rate)
        pushed = (cutter.push(block) for block in blocks)
        for chunks in itertools.chain(pushed, [cutter.finish()]):
            for start, sources in self._run(chunks):
                ordered = order.arrange(start, sources)
                if seams is not None and order.latest is not None:
                    seams.append(order.latest)
                yield joiner.add(start, ordered)
        rest = joiner.finish()
        if rest is not None:
            yield rest

    def _run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[int, np.ndarray]]:
        """Start and sources (N, S) of each chunk, computed in batches."""
        waiting = iter(chunks)
        # All that is ready, but not more than a batch, and never waiting for more to come.
        while group := list(itertools.islice(waiting, self._runner.batch)):
            outputs = self._runner(np.stack([chunk.samples for chunk in group]), self.sources)
            yield from zip((chunk.start for chunk in group), outputs, strict=True)


class _Queue:
    """Samples that wait until the separated ones have come."""

    def __init__(self) -> None:
        self._parts: deque[np.ndarray] = deque()

    def put(self, block: np.ndarray) -> None:
        self._parts.append(block)

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


class _Tap:
    """Passes blocks on, counts their samples, and knows whether they have ended."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.copy_to: _Queue | None = None
        self.samples = 0
        self.ended = False

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += block.shape[-1]
            if self.copy_to is not None:
                self.copy_to.put(block)
            yield block
        self.ended = True


def _checked(blocks: Blocks) -> Iterator[np.ndarray]:
    """Float32 blocks (S,). Raises InputError."""
    for block in blocks:
        samples = np.asarray(block, dtype=np.float32)
        if samples.ndim == 2 and len(samples) == 1:
            samples = samples[0]
        if samples.ndim != 1:
            raise InputError(f"expected one channel of samples, found shape {samples.shape}")
        if not np.isfinite(samples).all():
            raise InputError("samples are not all finite (NaN or infinity)")
        if samples.size:
            yield samples


def _resampled(blocks: Blocks, from_rate: int, to_rate: int) -> Iterator[np.ndarray]:
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


def _fitted(blocks: Blocks, source: _Tap, total: Callable[[], int]) -> Iterator[np.ndarray]:
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


def _batch_size(batch: int | str, device: torch.device) -> int:
    if batch == "auto":
        return GPU_BATCH if device.type == "cuda" else 1
    try:
        size = int(batch)
    except ValueError:
        size = 0
    if size < 1:
        raise UsageError(f"batch '{batch}' is neither 'auto' nor a positive number")
    return size
