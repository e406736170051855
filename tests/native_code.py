"""What tests of native code share."""

from pathlib import Path

import pytest

from cplxsep.nn.native import build


def needs_compiler() -> None:
    """Skip the test where nothing can be compiled."""
    try:
        build.find_compiler()
    except build.NoCompilerError as error:
        pytest.skip(str(error))


def has_bytes() -> bool:
    """Whether native code is to multiply bytes here: by what the CPU says."""
    try:
        build.find_compiler()
    except build.NoCompilerError:
        return False
    told = Path("/proc/cpuinfo")
    return told.exists() and "vnni" in told.read_text(encoding="utf-8")


def needs_bytes() -> None:
    """Skip the test where native code cannot multiply bytes."""
    if not has_bytes():
        pytest.skip("no C++ compiler, or a CPU without VNNI")
