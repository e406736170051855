"""Compiles native code on the user's machine once, and keeps the libraries in the cache folder.

A library has the name of its room, a folder of cplxsep/nn: it is made of the sources there and of
what they include, by path below cplxsep/nn.
"""

import atexit
import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections import defaultdict
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from threading import Lock, Thread

from cplxsep.nn.native import amx

_FLAGS = ["-std=c++20", "-O3", "-march=native", "-shared", "-fPIC", "-fopenmp", "-I."]
CANNOT_KEEP = "cannot keep compiled code in"
"""How the reason begins where the user has a folder to mend."""
_ENDING = ".so"
_INCLUDE = re.compile(rb'^#include "(.+)"$', re.MULTILINE)
_compiling: set[subprocess.Popen] = set()
_turns: defaultdict[str, Lock] = defaultdict(Lock)  # of building each library
_failed: dict[Path, str] = {}  # by stem, why the compiler made no library: it never would


class NoCompilerError(Exception):
    """Why native code cannot be had on this machine, in one line."""


def cache_folder() -> Path:
    """Where compiled libraries are kept (XDG base directory convention).

    NoCompilerError: the user has no home folder, as in some containers.
    """
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "cplxsep"
    try:
        return Path.home() / ".cache" / "cplxsep"
    except RuntimeError as error:
        raise NoCompilerError(f"no folder for compiled code: {error}") from None


@cache
def library(name: str) -> ctypes.CDLL:
    """The library of a room, compiled if it has not been. Raises NoCompilerError."""
    path = built(name)
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise NoCompilerError(f"{CANNOT_KEEP} {path.parent}: {error}") from None


def built(name: str) -> Path:
    """The file of a library, compiled if it has not been. Raises NoCompilerError."""
    compiler, texts = find_compiler(), _texts(name)
    stem = _stem(name, compiler, texts)
    try:
        with _turns[name]:  # whoever comes second finds the file
            if stem in _failed:
                raise NoCompilerError(_failed[stem])
            return _kept(stem) or _compile(compiler, texts, stem)
    except OSError as error:
        why = error.strerror or error
        raise NoCompilerError(f"{CANNOT_KEEP} {stem.parent}: {why}") from None


def _kept(stem: Path) -> Path | None:
    """The library that was compiled before, if its bytes are those that its name tells.

    One that was cut off, as by a power failure, would end the process that calls it.
    """
    found = stem.parent.glob(f"{stem.name}-*{_ENDING}")
    return next((path for path in found if path == _named(stem, path.read_bytes())), None)


def _named(stem: Path, library: bytes) -> Path:
    return stem.with_name(f"{stem.name}-{hashlib.sha256(library).hexdigest()[:16]}{_ENDING}")


@cache
def begin(name: str) -> Thread:
    """The thread that begins to build a library while something else goes on, such as imports.

    `library` waits for it. It ends with the process, and leaves nothing half-done.
    """

    def build() -> None:
        with suppress(NoCompilerError):
            built(name)

    thread = Thread(target=build, daemon=True)

    def stop() -> None:
        for process in list(_compiling):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        thread.join(5)

    atexit.register(stop)
    thread.start()
    return thread


def find_compiler() -> list[str]:
    """The command of a C++ compiler: $CXX, else the usual names. Raises NoCompilerError."""
    names = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for name in names:
        for command in ([name], _words(name)):
            if command and (found := shutil.which(command[0])):
                return [found, *command[1:]]
    raise NoCompilerError(f"no C++ compiler found ({', '.join(names)})")


def _words(command: str) -> list[str]:
    """Those of a command as a shell has them, such as `ccache g++`; none where a quote is open."""
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _flags() -> list[str]:
    return [*_FLAGS, "-DCPLXSEP_AMX_ALLOWED"] if amx.allowed() else _FLAGS


def _texts(name: str) -> dict[str, bytes]:
    """Sources of a library and all headers that they include, by path below cplxsep/nn."""
    rooms = resources.files("cplxsep.nn")
    sources = (file.name for file in rooms.joinpath(name).iterdir() if file.name.endswith(".cpp"))
    wanted, texts = [f"{name}/{source}" for source in sorted(sources)], {}
    for path in wanted:  # which grows meanwhile
        if path not in texts:
            texts[path] = rooms.joinpath(*path.split("/")).read_bytes()
            wanted += [include.decode() for include in _INCLUDE.findall(texts[path])]
    return texts


def _stem(name: str, compiler: list[str], texts: dict[str, bytes]) -> Path:
    """How the path of a library begins: by all that it is made of."""
    digest = hashlib.sha256(" ".join([*compiler, *_flags(), _cpu()]).encode())
    for text in texts.values():
        digest.update(text)
    return cache_folder() / f"{name}-{digest.hexdigest()[:16]}"


def _compile(compiler: list[str], texts: dict[str, bytes], stem: Path) -> Path:
    stem.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=stem.parent) as folder:
        made = Path(folder, f"made{_ENDING}")
        for file, text in texts.items():
            target = Path(folder, file)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(text)
        sources = [file for file in texts if file.endswith(".cpp")]
        with subprocess.Popen(
            [*compiler, *_flags(), *sources, "-o", made.name],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a compiler is several processes, which `stop` ends together
        ) as process:
            _compiling.add(process)
            _, errors = process.communicate()
            _compiling.discard(process)
        if process.returncode:
            lines = errors.splitlines()
            told = [line for line in lines if "error" in line or "No space left" in line]
            why = next(iter(told or lines), "failed")[:200]
            _failed[stem] = f"{shlex.join(compiler)}: {why}"
            raise NoCompilerError(_failed[stem])
        path = _named(stem, made.read_bytes())
        # Whole or not at all, also where two processes build at once.
        os.replace(made, path)
        return path


def vendor() -> str:
    """The processor's maker as it names itself, such as GenuineIntel; empty where unknown."""
    return "".join(line.partition(":")[2].strip() for line in _cpu_lines("vendor_id"))


def _cpu() -> str:
    """What -march=native depends on: a home folder may be shared by unlike machines."""
    names = ("model", "flags", "Features", "CPU implementer", "CPU part")  # of x86, and of ARM
    return "".join(_cpu_lines(*names)) or platform.machine() + platform.processor()


def _cpu_lines(*names: str) -> list[str]:
    """What Linux tells of the first core, as far as it begins with these names."""
    try:
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", 1)[0]
    except OSError:
        return []
    return [line for line in info.splitlines() if line.startswith(names)]
