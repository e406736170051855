"""Compiles norm.cpp on the user's machine once, and keeps the library in the cache folder."""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from importlib import resources
from pathlib import Path

FLAGS = ["-std=c++20", "-O3", "-march=native", "-shared", "-fPIC", "-fopenmp"]


class NoCompilerError(Exception):
    """Why the native passes cannot be had on this machine, in one line."""


def cache_folder() -> Path:
    """Where compiled libraries are kept (XDG base directory convention)."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "cplxsep"


@cache
def library() -> ctypes.CDLL:
    """The compiled passes. Raises NoCompilerError."""
    compiler = find_compiler()
    source = resources.files(__package__).joinpath("norm.cpp").read_bytes()
    key = hashlib.sha256(source + " ".join([compiler, *FLAGS, _cpu()]).encode()).hexdigest()[:16]
    path = cache_folder() / f"norm-{key}.so"
    try:
        if not path.is_file():
            _compile(compiler, source, path)
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoCompilerError(f"cannot build or load {path}: {error}") from None


def find_compiler() -> str:
    """Path of a C++ compiler: $CXX, else the usual names. Raises NoCompilerError."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for name in names:
        if found := shutil.which(name):
            return found
    raise NoCompilerError(f"no C++ compiler found ({', '.join(names)})")


def _compile(compiler: str, source: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        text, out = Path(folder) / "norm.cpp", Path(folder) / "norm.so"
        text.write_bytes(source)
        command = [compiler, *FLAGS, str(text), "-o", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), "failed")
            raise NoCompilerError(f"{compiler}: {first[:200]}")
        os.replace(out, path)


def _cpu() -> str:
    """What -march=native depends on: a home folder may be shared by unlike machines."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", 1)[0]
        return "".join(line for line in info.splitlines() if line.startswith(("model", "flags")))
    except OSError:
        return platform.machine() + platform.processor()
