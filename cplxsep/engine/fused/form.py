"""A model as it runs on a device."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from cplxsep.engine.fused.choice import choose
from cplxsep.engine.fused.graphs import GraphedNetwork
from cplxsep.networks.model import SeparationModel
from cplxsep.networks.signal_stream import SignalStream
from cplxsep.nn.device import keep_freed_memory

Network = Callable[[Tensor], Tensor]
"""(B, S) -> (B, N, S)."""
Around = Callable[[Network], Network]
After = Callable[[Tensor], tuple[Tensor, ...]]


class Found(NamedTuple):
    """Sources (B, N, S) and what is measured of them; whether all of their samples are finite."""

    parts: tuple[np.ndarray, ...]
    finite: bool


class Form:
    """A model (B, S) -> (B, N, S) in its fastest form, chosen once: equal audio, equal results.

    Args:
        model: on the device, in evaluation mode and float32.
        dtype: working precision, None for float32.
        around: what is done there with the network. after: what is measured there of the sources
            (B, N, S). Not of a stream.
    """

    def __init__(
        self,
        model: nn.Module,
        device: torch.device,
        dtype: torch.dtype | None,
        around: Around = lambda network: network,
        after: After = lambda _sources: (),
    ) -> None:
        self._model = model
        self._device = device
        self._dtype = dtype
        self._around, self._after = around, after
        self.causal: bool = getattr(model, "causal", False)
        if device.type == "cpu":
            keep_freed_memory()
        self._make()

    def __call__(self, chunks: np.ndarray) -> np.ndarray:
        """Sources (B, N, S) of chunks (B, S)."""
        return self.begin(chunks)().parts[0]

    @torch.inference_mode()
    def begin(self, chunks: np.ndarray) -> Callable[[], Found]:
        """Begin with chunks (B, S); the call of what it gives waits for their sources (B, N, S).

        A GPU does the work meanwhile, and more of it can be begun. Waiting needs no turn.
        """

        def network(heard: Tensor) -> Tensor:
            with self._autocast():
                return self._fast(heard)

        return self._run(self._whole(network), chunks)

    @torch.inference_mode()
    def exact(self, chunks: np.ndarray) -> Found:
        """The same by the model itself, in float32."""
        return self._run(self._whole(self._model), chunks)()

    def stream(self) -> SignalStream:
        """A signal in blocks through this form of a causal model."""
        return SignalStream(cast(SeparationModel, self._fast))

    @torch.inference_mode()
    def advance(self, stream: SignalStream, block: np.ndarray, last: bool) -> Found:
        """Sources (B, N, S') that the stream's next block (B, S) completes."""
        with self._autocast():
            return self._run(lambda given: (stream(given, last).float(),), block)()

    def release(self) -> None:
        """Give back the memory of a GPU that is not in use."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)  # what was begun may be in a graph
            self._make()
            torch.cuda.empty_cache()

    def _make(self) -> None:
        self._fast, self.kind = choose(self._model, self._device, self._dtype)
        if self._device.type == "cuda" and self._fast is not self._model and not self.causal:
            self._fast.network = GraphedNetwork(cast(nn.Module, self._fast.network))

    def _autocast(self) -> AbstractContextManager[object]:
        if self._fast is self._model and self._dtype is not None:
            return torch.autocast(self._device.type, self._dtype)
        return contextlib.nullcontext()

    def _whole(self, network: Network) -> After:
        whole = self._around(network)

        def work(chunks: Tensor) -> tuple[Tensor, ...]:
            sources = whole(chunks).float()
            return sources, *self._after(sources)

        return work

    def _run(self, work: After, chunks: np.ndarray) -> Callable[[], Found]:
        given = torch.from_numpy(chunks)
        if self._device.type != "cuda":
            parts = tuple(part.numpy() for part in work(given))
            found = Found(parts, bool(np.isfinite(parts[0]).all()))
            return lambda: found
        # cuDNN takes TF32 for float32 unless told otherwise.
        with torch.cuda.device(self._device), torch.backends.cudnn.flags(True, allow_tf32=False):
            there = work(given.pin_memory().to(self._device, non_blocking=True))
            *here, finite = [_brought(part) for part in (*there, there[0].isfinite().all())]
            arrived = torch.cuda.Event()
            arrived.record()

        def wait() -> Found:
            arrived.synchronize()
            return Found(tuple(part.numpy() for part in here), bool(finite))

        return wait


def _brought(there: Tensor) -> Tensor:
    """What is on its way from a GPU."""
    here = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)
    return here.copy_(there, non_blocking=True)
