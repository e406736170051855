"""The public way to separate: whole signals or streams, any rate, any length."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor, nn

from cplxsep.engine.bands import Above
from cplxsep.engine.chunks import Chunk, ChunkPlan, Cutter, Joiner
from cplxsep.engine.finish import Finish
from cplxsep.engine.flow import Blocks, Tap, Waiting, checked, fitted, resampled
from cplxsep.engine.runtime import Runner
from cplxsep.engine.seams import Seam, TalkerOrder
from cplxsep.engine.shelf import DEFAULT_MODEL, resolve
from cplxsep.engine.together import Together
from cplxsep.errors import UsageError
from cplxsep.networks import registry
from cplxsep.nn.device import pick_device, pick_precision


class Separator:
    """Separates single-channel recordings of any length and sample rate.

    Safe to call from several threads at once; on a GPU their chunks share batches.

    Args:
        model: network (B, S) -> (B, N, S) with attributes `sample_rate` (Hz) and `sources`.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, bf16 or fp16; auto is bf16 on devices that are faster with it.
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
        dtype = pick_precision(precision, where)
        self._runner = Runner(model, where, dtype, _batch_size(batch), self.plan.length)
        self._together = Together(
            lambda chunks: self._runner(chunks, self.sources), lambda: self._runner.batch
        )

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
    def batch(self) -> int:
        """Chunks computed at once; chunks of concurrent calls share a batch."""
        return self._runner.batch

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
        empty = np.zeros((self.sources + bool(options.get("rest")), 0), np.float32)
        return np.concatenate([empty, *parts], axis=1)

    def stream(
        self,
        blocks: Blocks,
        sample_rate: int,
        *,
        at_model_rate: bool = False,
        sum_to_mix: bool = False,
        rest: bool = False,
        above: Above = "drop",
        seams: list[Seam] | None = None,
    ) -> Iterator[np.ndarray]:
        """Separated blocks (N, S) of a signal that comes in blocks (S,), in constant memory.

        The output lags behind by up to one chunk; its blocks' lengths differ from the input's,
        their sum does not.

        Args:
            sample_rate: of the blocks, in Hz.
            at_model_rate: give the sources at the model's rate instead of the input's.
            sum_to_mix: spread what is missing to the mixture equally over the sources.
            rest: give what is missing to the mixture as one more row.
            above: what becomes of the band above the model's: "drop", or with a model of one
                source "keep" or "follow", attenuated as the highest band that the model hears.
            seams: a list to which is added how each chunk was joined to the one before.

        Raises:
            UsageError: the options make no sense together.
            InputError: a block has another shape or samples that are not finite.
        """
        if sample_rate < 1:
            raise UsageError(f"sample rate {sample_rate} is not positive")
        if above != "drop" and self.sources > 1:
            raise UsageError(
                f"above '{above}' needs a model of one source, this one has {self.sources}"
            )
        if at_model_rate or sample_rate <= self.sample_rate:
            above = "drop"
        finish = Finish(sum_to_mix, rest, above)
        mixture = Waiting()
        given = Tap(checked(blocks))
        at_rate = Tap(
            fitted(
                resampled(given, sample_rate, self.sample_rate),
                given,
                lambda: max(round(given.samples * self.sample_rate / sample_rate), 1),
            )
        )
        (at_rate if at_model_rate else given).copy_to = mixture if finish.needs_input else None
        rows = self._separate(at_rate, finish, seams)
        if not at_model_rate:
            back = resampled(rows, self.sample_rate, sample_rate)
            rows = fitted(back, given, lambda: given.samples)
        for part in rows:
            if finish.needs_input:
                part = finish.apply(part, self.sources, mixture.take(part.shape[1]))
            yield part

    def _separate(
        self, blocks: Blocks, finish: Finish, seams: list[Seam] | None
    ) -> Iterator[np.ndarray]:
        """Sources and guides (N + K, S) of blocks (S,), all at the model's rate."""
        cutter, joiner = Cutter(self.plan), Joiner(self.plan)
        order = TalkerOrder(self.sample_rate)
        pushed = (cutter.push(block) for block in blocks)
        for chunks in itertools.chain(pushed, [cutter.finish()]):
            for chunk, sources in self._run(chunks):
                ordered = order.arrange(chunk.start, sources)
                if seams is not None and order.latest is not None:
                    seams.append(order.latest)
                guides = finish.guides(chunk.samples, ordered, self.sample_rate)
                yield joiner.add(chunk.start, np.concatenate([ordered, guides]))
        rest = joiner.finish()
        if rest is not None:
            yield rest

    def _run(self, chunks: Iterable[Chunk]) -> Iterator[tuple[Chunk, np.ndarray]]:
        """Each chunk and its sources (N, S), computed in batches."""
        waiting = iter(chunks)
        # All that is ready, but not more than a batch, and never waiting for more to come.
        while group := list(itertools.islice(waiting, self._runner.batch)):
            outputs = self._together(np.stack([chunk.samples for chunk in group]))
            yield from zip(group, outputs, strict=True)


def _batch_size(batch: int | str) -> int | None:
    if batch == "auto":
        return None
    try:
        size = int(batch)
    except ValueError:
        size = 0
    if size < 1:
        raise UsageError(f"batch '{batch}' is neither 'auto' nor a positive number")
    return size
