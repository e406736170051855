"""What a figure was measured on."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch

from cplxsep.nn.device import fast_bf16_cpu


def machine(device: str = "cpu") -> dict[str, Any]:
    """Processor with its vectors, cores, threads, torch, and the GPU where one is used."""
    facts: dict[str, Any] = {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": torch.get_num_threads(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "bf16_hardware": fast_bf16_cpu(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }
    if torch.device(device).type == "cuda":
        found = torch.cuda.get_device_properties(device)
        facts["gpu"] = found.name
        facts["gpu_memory_gib"] = round(found.total_memory / 2**30, 1)
    return facts


def processor() -> str:
    """The processor's name, its architecture where it has none."""
    try:
        named = re.search(r"model name\s*: *(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()


def in_words(facts: dict[str, Any]) -> str:
    """The facts in one line."""
    gpu = f"{facts['gpu']}, " if "gpu" in facts else ""
    bf16 = "" if facts["bf16_hardware"] else "not "
    return (
        f"{gpu}{facts['processor']}, {facts['threads']} threads, {bf16}faster in bfloat16, "
        f"torch {facts['torch']}"
    )
