"""Runs a network on numpy chunks, in batches that fit the memory."""

import threading
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from cplxsep.engine.fused.choice import chunks_at_once
from cplxsep.engine.fused.form import After, Around, Form, Found
from cplxsep.errors import DeviceError, InputError, first_line
from cplxsep.nn.device import out_of_memory

MOST = 32  # chunks at once on a GPU: more gain little, and each file would be read further ahead
SHARE = 0.8  # of the free memory
Advance = Callable[[np.ndarray, bool], np.ndarray]  # of a block, and whether it is the last
# Threads take turns on a device: side by side, work on it would only be slower. What a GPU was
# given it does while the next one has the turn.
_turns: defaultdict[tuple[str, int], threading.RLock] = defaultdict(threading.RLock)


class Runner:
    """Runs a network (B, S) -> (B, N, S) on numpy chunks. Safe to call from several threads.

    Args:
        model: moved to the device and set to evaluation mode.
        dtype: working precision, None for float32.
        batch: chunks at once; halved, for good, whenever memory does not suffice. None chooses:
            few on a CPU, whose caches hold no more, and what fits the free memory on a GPU.
        samples: length S of a full chunk.
        around, after: as of a `Form`.

    Raises:
        DeviceError: the device cannot be used, or its memory does not hold one chunk.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        dtype: torch.dtype | None,
        batch: int | None,
        samples: int,
        around: Around = lambda network: network,
        after: After = lambda _sources: (),
    ) -> None:
        self.device = device
        self.dtype = dtype
        self.batch = batch or (1 if device.type == "cuda" else chunks_at_once(model, dtype))
        self._after = after
        self._turn = _turns[device.type, device.index or 0]  # "cuda" is the first of them
        try:
            self._form = Form(model.to(device).eval(), device, dtype, around, after)
        except RuntimeError as error:
            raise DeviceError(f"cannot use device {device}: {first_line(error)}") from error
        if batch is None and device.type == "cuda" and not self.causal:
            self.batch = self._fitting_batch(samples)

    @property
    def causal(self) -> bool:
        """Whether the network looks at nothing to come, so that it can `stream`."""
        return self._form.causal

    @property
    def form(self) -> str:
        """What the network runs as, in words."""
        return self._form.kind

    def __call__(self, chunks: np.ndarray, sources: int) -> tuple[np.ndarray, ...]:
        """Sources (B, N, S) of chunks (B, S), and what is measured of them, (B, ...) each.

        A chunk that is silent gives silence.

        Raises:
            InputError: the network's output is not finite, even in float32.
            DeviceError: one chunk alone does not fit the memory.
        """
        todo = np.flatnonzero(chunks.any(axis=1))
        if len(todo) == len(chunks) <= self.batch and (found := self._attempt(chunks)):
            return found
        silence = torch.zeros(1, sources, chunks.shape[1])
        of_one = (silence, *self._after(silence))
        outputs = tuple(part.numpy().repeat(len(chunks), axis=0) for part in of_one)
        while todo.size:
            part = todo[: self.batch]
            if found := self._attempt(chunks[part]):
                for output, own in zip(outputs, found, strict=True):
                    output[part] = own
                todo = todo[len(part) :]
        return outputs

    def stream(self) -> Advance:
        """What separates one signal block by block, by a causal network.

        It gives the sources (N, S') that the next block (S,) completes, and with the last one all
        that is left. Errors as of a call, but nothing is tried again in float32.
        """
        signal = self._form.stream()

        def advance(block: np.ndarray, last: bool) -> np.ndarray:
            try:
                with self._turn:
                    found = self._form.advance(signal, block[None], last)
            except (MemoryError, RuntimeError) as error:
                self._only_memory(error)
                raise self._too_much from error
            return _checked(found)[0][0]

        return advance

    def _attempt(self, chunks: np.ndarray) -> tuple[np.ndarray, ...] | None:
        """As a call; None if memory did not suffice and the batch is smaller now."""
        try:
            return self._finite(chunks)
        except (MemoryError, RuntimeError) as error:
            self._only_memory(error)
            if len(chunks) == 1:
                raise self._too_much from error
        # The error is gone by now, and with it what it held of the memory.
        with self._turn:
            self.batch = min(self.batch, len(chunks) // 2)
            self._form.release()
        return None

    def _finite(self, chunks: np.ndarray) -> tuple[np.ndarray, ...]:
        with self._turn:
            begun = self._form.begin(chunks)
        found = begun()
        if self.dtype is not None and not found.finite:
            if len(chunks) > 1:  # the others have no part in it
                each = [self._finite(chunk[None]) for chunk in chunks]
                return tuple(map(np.concatenate, zip(*each, strict=True)))
            with self._turn:
                found = self._form.exact(chunks)
        return _checked(found)

    def _only_memory(self, error: Exception) -> None:
        """Raise an error again, unless it is that memory did not suffice."""
        if out_of_memory(error):  # which may be an error of the accelerator too
            return
        if isinstance(error, torch.AcceleratorError):
            raise DeviceError(f"{self.device} failed: {first_line(error)}") from error
        raise error

    @property
    def _too_much(self) -> DeviceError:
        return DeviceError(f"out of memory on {self.device} with one chunk: use a shorter --chunk")

    def _fitting_batch(self, samples: int) -> int:
        """Power of two, at most MOST, that fits the free memory of the GPU."""
        with self._turn:  # another's work would count as this one's
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            # One chunk shows what each takes; it warms the device up, too.
            if self._attempt(np.full((1, samples), 0.1, np.float32)) is None:
                return 1
            needed = torch.cuda.max_memory_allocated(self.device) - before
            self._form.release()
            free, _ = torch.cuda.mem_get_info(self.device)
        fitting = min(int(SHARE * free / max(needed, 1)), MOST)
        return 1 << max(fitting.bit_length() - 1, 0)


def _checked(found: Found) -> tuple[np.ndarray, ...]:
    if not found.finite:
        raise InputError("the network's output is not finite: are the samples far beyond 1?")
    return found.parts
