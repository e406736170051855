"""Runs a network on chunks, in batches that fit the memory."""

import contextlib

import numpy as np
import torch
from torch import nn

from cplxsep.errors import DeviceError, InputError
from cplxsep.nn.device import out_of_memory


class Runner:
    """Runs a network (B, S) -> (B, N, S) on numpy chunks.

    Args:
        model: moved to the device and set to evaluation mode.
        dtype: autocast type, None for float32.
        batch: chunks at once; halved, for good, whenever memory does not suffice.
    """

    def __init__(
        self, model: nn.Module, device: torch.device, dtype: torch.dtype | None, batch: int
    ) -> None:
        try:
            self.model = model.to(device).eval()
        except RuntimeError as error:
            raise DeviceError(f"cannot use device {device}: {_first_line(error)}") from error
        self.device = device
        self.dtype = dtype
        self.batch = batch

    def __call__(self, chunks: np.ndarray, sources: int) -> np.ndarray:
        """Sources (B, N, S) of chunks (B, S). A silent chunk gives silence.

        Raises:
            InputError: the network's output is not finite, even in float32.
            DeviceError: one chunk alone does not fit the memory.
        """
        outputs = np.zeros((len(chunks), sources, chunks.shape[1]), np.float32)
        todo = np.flatnonzero(chunks.any(axis=1))
        while todo.size:
            part = todo[: self.batch]
            try:
                outputs[part] = self._finite(torch.from_numpy(chunks[part]))
            except (MemoryError, RuntimeError) as error:
                if isinstance(error, torch.AcceleratorError):
                    raise DeviceError(f"{self.device} failed: {_first_line(error)}") from error
                if not out_of_memory(error):
                    raise
                self._halve(error)
                continue
            todo = todo[len(part) :]
        return outputs

    def _finite(self, chunks: torch.Tensor) -> np.ndarray:
        sources = self._run(chunks, self.dtype)
        if self.dtype is not None and not np.isfinite(sources).all():
            sources = self._run(chunks, None)
        if not np.isfinite(sources).all():
            raise InputError("the network's output is not finite: are the samples far beyond 1?")
        return sources

    @torch.inference_mode()
    def _run(self, chunks: torch.Tensor, dtype: torch.dtype | None) -> np.ndarray:
        autocast = torch.autocast(self.device.type, dtype) if dtype else contextlib.nullcontext()
        with autocast:
            return self.model(chunks.to(self.device)).float().cpu().numpy()

    def _halve(self, error: BaseException) -> None:
        if self.batch == 1:
            raise DeviceError(
                f"out of memory on {self.device} with one chunk: use a shorter --chunk"
            ) from error
        self.batch //= 2
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
