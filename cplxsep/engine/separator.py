"""The public way to separate: whole signals or streams, any rate, any length."""

import numbers
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, overload

import numpy as np
import torch
from torch import Tensor, nn

from cplxsep.audio.recording import RATES
from cplxsep.engine.at_rate import AtRate
from cplxsep.engine.blocks import Blocks, Tap, Waiting, checked, fitted, resampled
from cplxsep.engine.chunks import ChunkPlan
from cplxsep.engine.finish import Above, Finish
from cplxsep.engine.fused.choice import working_type
from cplxsep.engine.talker_order import Seam
from cplxsep.errors import UsageError
from cplxsep.model_folder.catalogue import DEFAULT_MODEL, resolve
from cplxsep.model_folder.load import load_model
from cplxsep.nn.device import pick_device


class Separator:
    """Separates single-channel recordings of any length and sample rate.

    Each recording is run at the highest of the model's rates that it reaches. What lies below some
    10 Hz, such as a constant offset, is taken off before and is in no source. Safe to call from
    several threads at once; on a GPU their chunks share batches.

    Args:
        model: network (B, S) -> (B, N, S) with attributes `sample_rate` (Hz) and `sources`; one
            for several sample rates has `rates`, `sample_rate` among them, and `at(rate)`.
        device: auto, cpu, cuda or cuda:N, or a torch.device.
        precision: auto, fp32, bf16, fp16 or int8; auto is what is fastest on the device.
        chunk: length in seconds of the pieces that the network sees.
        overlap: of neighbouring chunks, as a fraction of a chunk, at most 0.5.
        batch: chunks computed at once, "auto" or a number.
        shifts: how often each chunk is separated, its frames between those of the other times; the
            mean is given. Each time takes as long as the first. Not for causal models.

    Attributes:
        sample_rate: in Hz, that the model was trained at.
        rates: in Hz, ascending, all that it can be run at; see `rate_for`.
        sources: number of outputs N.

    Raises:
        UsageError, DeviceError: an argument or the device cannot be used.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        device: str | torch.device = "auto",
        precision: str = "auto",
        chunk: float = 8.0,
        overlap: float = 0.25,
        batch: int | str = "auto",
        shifts: int = 1,
    ) -> None:
        description: Any = model
        self._model = description
        self.sample_rate: int = description.sample_rate
        self.rates: tuple[int, ...] = tuple(sorted(getattr(model, "rates", [self.sample_rate])))
        self.sources: int = description.sources
        self._plans = {rate: ChunkPlan.of(chunk, overlap, rate) for rate in self.rates}
        self._device = pick_device(str(device))
        self._dtype = working_type(precision, self._device, model)
        self._batch = _batch_size(batch)
        self._shifts = _number_of_shifts(shifts, getattr(model, "causal", False))
        self._made: dict[int, AtRate] = {}
        self._making = threading.Lock()

    @classmethod
    def load(cls, model: str | Path = DEFAULT_MODEL, **options: Any) -> "Separator":
        """Separator with a shipped model or a checkpoint folder; options as for the class.

        Raises:
            ModelError: there is no such model, or it is corrupt.
        """
        return cls(load_model(resolve(model)), **options)

    def __repr__(self) -> str:
        rates = ", ".join(map(str, self.rates))
        return f"<Separator: {self.sources} sources at {rates} Hz, {self.device}, {self.precision}>"

    def __getstate__(self) -> dict[str, Any]:
        """Without what runs on the device: a copy, as in another process, makes its own."""
        own = {"_made", "_making"}
        return {name: value for name, value in vars(self).items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _made={}, _making=threading.Lock())

    @property
    def device(self) -> str:
        """Name of the device in use."""
        return str(self._device)

    @property
    def precision(self) -> str:
        """Precision in use: fp32, bf16, fp16 or int8."""
        names = {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16", torch.int8: "int8"}
        return names[self._dtype]

    def rate_for(self, sample_rate: int) -> int:
        """The rate in Hz at which a recording of `sample_rate` Hz is run.

        The highest of the model's that the recording reaches; if it reaches none, the lowest.
        UsageError: no number of Hz, or no whole one.
        """
        _check_rate(sample_rate)
        return max((rate for rate in self.rates if rate <= sample_rate), default=self.rates[0])

    def at(self, sample_rate: int) -> AtRate:
        """What runs recordings of `sample_rate` Hz: made when first asked for, shared by all.

        Raises:
            DeviceError: the device cannot be used, or its memory does not hold one chunk.
        """
        rate = self.rate_for(sample_rate)
        with self._making:
            if rate not in self._made:
                # Weights are shared; a model of one rate need not have the method.
                model = self._model if rate == self.sample_rate else self._model.at(rate)
                self._made[rate] = AtRate(
                    model,
                    rate,
                    self.sources,
                    self._plans[rate],
                    self._device,
                    self._dtype,
                    self._batch,
                    self._shifts,
                )
            return self._made[rate]

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
            InputError: the waveform has another shape, or samples that are no floats or not finite.
        """
        if isinstance(waveform, Tensor):
            given = waveform.detach().cpu()
            samples = (given.float() if given.is_floating_point() else given).numpy()
            sources = self(samples, sample_rate, **options)
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

        The output lags behind by up to one chunk, of several sources by five, whose order is found
        from what follows; with a causal model by one window of its STFT (and what resampling
        takes, where the rates differ): that one may run live. `overlap` and
        `batch` mean nothing to it, and of what is below 10 Hz it takes off what a filter of 1 Hz
        does, without looking ahead. Blocks' lengths differ from the input's, their sum does not.
        On a GPU blocks are taken ahead by a thread; if the stream is closed before its end, that
        ends with the block that it is at.

        Args:
            sample_rate: of the blocks, in Hz.
            at_model_rate: give the sources at `rate_for(sample_rate)` instead.
            sum_to_mix: spread what is missing to the mixture equally over the sources.
            rest: give what is missing to the mixture as one more row.
            above: what becomes of the band above that of `rate_for(sample_rate)`: "drop", or with
                a model of one source "keep" or "follow", attenuated as the highest band heard.
            seams: a list to which is added how each chunk was joined to the one before, and where
                talkers who had changed places within one were put back.

        Raises:
            UsageError: the options make no sense together.
            InputError: a block has another shape, or samples that are no floats or not finite.
        """
        runs = self.at(sample_rate)
        sample_rate = int(sample_rate)
        if above not in get_args(Above):
            raise UsageError(f"above {above!r}: use {', '.join(get_args(Above))}")
        if above != "drop" and self.sources > 1:
            raise UsageError(
                f"above '{above}' needs a model of one source, this one has {self.sources}"
            )
        if at_model_rate or sample_rate <= runs.rate:
            above = "drop"
        finish = Finish(sum_to_mix, rest, above)
        mixture = Waiting()
        given = Tap(checked(blocks))
        at_rate = Tap(
            fitted(
                resampled(given, sample_rate, runs.rate),
                given,
                lambda: max(round(given.samples * runs.rate / sample_rate), 1),
            )
        )
        (at_rate if at_model_rate else given).copy_to = mixture if finish.needs_input else None
        rows = runs.separate(at_rate, finish, seams)
        if not at_model_rate:
            back = resampled(rows, runs.rate, sample_rate)
            rows = fitted(back, given, lambda: given.samples)
        for part in rows:
            if finish.needs_input:
                part = finish.apply(part, self.sources, mixture.take(part.shape[1]))
            yield part


def _check_rate(sample_rate: Any) -> None:
    number = isinstance(sample_rate, numbers.Real) and not isinstance(sample_rate, bool)
    if not number or sample_rate < 1 or sample_rate % 1:
        raise UsageError(f"sample rate {sample_rate!r}: give a positive whole number of Hz")
    if sample_rate > RATES[1]:
        raise UsageError(f"sample rate {sample_rate!r}: at most {RATES[1]} Hz")


def _batch_size(batch: int | str) -> int | None:
    if batch == "auto":
        return None
    if isinstance(batch, str) and batch.isdecimal():  # as options of commands are
        batch = int(batch)
    if isinstance(batch, bool) or not isinstance(batch, numbers.Integral) or batch < 1:
        raise UsageError(f"batch {batch!r} is neither 'auto' nor a positive whole number")
    return int(batch)


def _number_of_shifts(shifts: int, causal: bool) -> int:
    if isinstance(shifts, bool) or not isinstance(shifts, numbers.Integral) or shifts < 1:
        raise UsageError(f"shifts {shifts!r}: give a positive whole number")
    if causal and shifts > 1:
        raise UsageError(f"shifts {shifts}: a causal model, such as this one, goes on without them")
    return int(shifts)
