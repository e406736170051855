"""Devices and number formats by the names that commands use, and the memory of the CPU."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from cplxsep.errors import DeviceError, UsageError, tell
from cplxsep.nn.native import build

PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")


def pick_device(name: str) -> torch.device:
    """Device for auto, cpu, cuda or cuda:N.

    Raises:
        UsageError: the name is none of these.
        DeviceError: the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if not (name == "cpu" or (kind == "cuda" and (name == "cuda" or index.isdecimal()))):
        raise UsageError(f"unknown device '{name}': use auto, cpu, cuda or cuda:N")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(index or 0) >= count:
            raise DeviceError(f"device {name} is not usable: {count} CUDA devices found")
    return torch.device(name)


def pick_precision(name: str, device: torch.device) -> torch.dtype | None:
    """Working type for a precision; None computes in float32 throughout.

    "auto" is bfloat16 on GPUs and CPUs that are faster with it.

    Raises:
        UsageError: the name is unknown, fp16 is asked for on the CPU, or int8, which is no type
            of PyTorch's products but of a form that a network may have.
        DeviceError: the device has no bfloat16.
    Note: bf16 is asked for on a CPU that is slow with it.
    """
    if name not in PRECISIONS:
        raise UsageError(f"unknown precision '{name}': use {', '.join(PRECISIONS)}")
    on_gpu = device.type == "cuda"
    if name == "fp32":
        return None
    if name == "auto":
        wanted = _fast_bf16_gpu() if on_gpu else fast_bf16_cpu()
        return torch.bfloat16 if wanted else None
    if name == "fp16":
        if not on_gpu:
            raise UsageError("precision fp16 needs a CUDA device: use bf16 or fp32 on the CPU")
        return torch.float16
    if name == "int8":
        raise UsageError("precision int8 is for dual-path networks on a CPU: use auto")
    if on_gpu and not torch.cuda.is_bf16_supported():
        raise DeviceError(f"device {device} has no bf16: use fp16 or fp32")
    if not on_gpu and not multiplies_bf16_cpu():
        tell(
            "precision bf16 is many times slower than fp32 on this CPU, which has no vectors of it"
        )
    return torch.bfloat16


# Of torch, and of oneDNN where there is none for the code that it makes of a convolution; then of
# CUDA, its libraries and Triton, which have memory of their own.
_NO_MEMORY = (
    "DefaultCPUAllocator",
    "could not create a primitive",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUFFT_ALLOC_FAILED",
    "Triton Error [CUDA]: out of memory",
)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice; on the CPU torch has no type for it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _NO_MEMORY)


def multiplies_bf16_cpu() -> bool:
    """Whether oneDNN has products of bfloat16 on this CPU, if by others of float32.

    Without, PyTorch multiplies one by one: 1.3 GFLOP/s, where float32 has 84 (AMD Zen 3).
    """
    return torch.backends.mkldnn.is_available() and bool(
        torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def fast_bf16_cpu() -> bool:
    """Whether PyTorch multiplies bfloat16 faster than float32 on this CPU."""
    return bool(torch.cpu._is_amx_tile_supported()) or fast_bf16_vectors()


def fast_bf16_vectors() -> bool:
    """Whether vectors of bfloat16 are multiplied faster than those of float32 on this CPU.

    AMD's AVX512-BF16 has twice the rate, Intel's half of it (measured on Sapphire Rapids: 89
    against 172 GFLOP/s a core): there AMX is what is fast.
    """
    return bool(torch.cpu._is_avx512_bf16_supported()) and build.vendor() != "GenuineIntel"


def _fast_bf16_gpu() -> bool:
    """Whether the current GPU multiplies bfloat16 in hardware."""
    return torch.cuda.is_bf16_supported(including_emulation=False)


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Take numbers too small for full precision for zero, in this thread and those it starts.

    Where a mixture is silent, gradients fade to such numbers: a backward pass of the dual-path
    network took eight times as long on a CPU.
    """
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@cache
def keep_freed_memory() -> None:
    """Let this process keep up to 256 MiB that it frees, for its next use of memory.

    glibc gives large blocks back at once, and every page of the next one has to be made anew:
    an eighth of the time of a network whose maps come and go. A user's own setting is left alone,
    other C libraries too.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3
        mallopt(mmap_threshold, 32 << 20)
        mallopt(trim_threshold, 256 << 20)
