"""What a training process frees it keeps."""

import ctypes
import subprocess
import sys

import pytest

from cplxsep.training.heap import keep_freed_memory

STEPS = """
import resource
import numpy as np

def step():
    maps = [np.ones(size * 2**20 // 8) for size in (40, 24, 40)]
    return sum(map(np.sum, maps))

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

step(), step()
before = faults()
for _ in range(4):
    step()
print(faults() - before)
"""
KEEP = "from cplxsep.training.heap import keep_freed_memory; keep_freed_memory()"


def page_faults(first):
    run = subprocess.run(
        [sys.executable, "-c", first + STEPS], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc"
)
def test_steps_ask_the_system_for_nothing_that_they_had():
    kept, given_back = page_faults(KEEP), page_faults("")
    assert given_back > 1000
    assert kept < given_back / 20


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "1")  # or it would stay set
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    keep_freed_memory()
