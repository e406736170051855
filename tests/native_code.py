"""What tests of native code share."""

from pathlib import Path

import pytest

from cplxsep.nn.native import amx, build


def needs_compiler() -> None:
    """Skip the test where nothing can be compiled."""
    try:
        build.find_compiler()
    except build.NoCompilerError as error:
        pytest.skip(str(error))


def has_bytes() -> bool:
    """Whether native code is to multiply bytes here: by what the CPU says."""
    return compiles_for("vnni")


def needs_bytes() -> None:
    """Skip the test where native code cannot multiply bytes."""
    if not has_bytes():
        pytest.skip("no C++ compiler, or a CPU without VNNI")


def needs_bf16() -> None:
    """Skip the test where native code cannot multiply bfloat16."""
    if not compiles_for("avx512_bf16"):
        pytest.skip("no C++ compiler, or a CPU without AVX512-BF16")


def needs_amx() -> None:
    """Skip the test where native code cannot use AMX."""
    if not (compiles_for("amx_int8") and amx.allowed()):
        pytest.skip("no C++ compiler, or no AMX")


def compiles_for(flag: str) -> bool:
    """Whether there are a compiler, and a CPU that says this of itself."""
    try:
        build.find_compiler()
    except build.NoCompilerError:
        return False
    told = Path("/proc/cpuinfo")
    return told.exists() and flag in told.read_text(encoding="utf-8")
