"""A model as it runs on a device."""

import contextlib
import time
from contextlib import AbstractContextManager
from typing import cast

import numpy as np
import torch
from torch import nn

from cplxsep.engine.fused.graphs import GraphedNetwork
from cplxsep.engine.fused.model import FusedNetwork, fusable, fuse
from cplxsep.engine.fused.supply import KernelSupply
from cplxsep.nn.device import keep_freed_memory


class Form:
    """A model (B, S) -> (B, N, S) in its fastest form; a faster one once the work proves long.

    Args:
        model: on the device, in evaluation mode and float32.
        dtype: working precision, None for float32.
    """

    def __init__(self, model: nn.Module, device: torch.device, dtype: torch.dtype | None) -> None:
        self._model = model
        self._device = device
        self._dtype = dtype
        self._supply = KernelSupply(device) if fusable(model) else None
        if device.type == "cpu":
            keep_freed_memory()
        self._make()

    @torch.inference_mode()
    def __call__(self, chunks: np.ndarray) -> np.ndarray:
        """Sources (B, N, S) of chunks (B, S)."""
        begun = time.monotonic()
        with self._autocast():
            sources = self._run(self._fast, chunks)
        if self._supply is not None and self._supply.improved(time.monotonic() - begun):
            self._make()
        return sources

    @torch.inference_mode()
    def exact(self, chunks: np.ndarray) -> np.ndarray:
        """The same by the model itself, in float32."""
        return self._run(self._model, chunks)

    def release(self) -> None:
        """Give back the memory of a GPU that is not in use."""
        if self._device.type == "cuda":
            self._make()
            torch.cuda.empty_cache()

    def _make(self) -> None:
        self._fast = self._model
        if self._supply is not None:
            self._fast = fuse(self._model, self._dtype or torch.float32, self._supply.kernels)
            if self._device.type == "cuda":
                network = cast(FusedNetwork, self._fast.network)
                self._fast.network = GraphedNetwork(network)

    def _autocast(self) -> AbstractContextManager[object]:
        if self._supply is None and self._dtype is not None:
            return torch.autocast(self._device.type, self._dtype)
        return contextlib.nullcontext()

    def _run(self, module: nn.Module, chunks: np.ndarray) -> np.ndarray:
        given = torch.from_numpy(chunks)
        if self._device.type != "cuda":
            return module(given).float().numpy()
        # cuDNN takes TF32 for float32 unless told otherwise.
        with torch.cuda.device(self._device), torch.backends.cudnn.flags(True, allow_tf32=False):
            sources = module(given.pin_memory().to(self._device, non_blocking=True)).float()
            held = torch.empty(sources.shape, pin_memory=True)
            held.copy_(sources, non_blocking=True)
            torch.cuda.current_stream().synchronize()
            return held.numpy().copy()
