"""Building native code: once, aside, never half, and without harm where it cannot be."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from native_code import needs_compiler

from cplxsep.nn.native import build

BEGIN = "import time; from cplxsep.nn.native import build; build.begin('position_norm')"
USE = "from cplxsep.nn.native import build; build.library('position_norm').forward_float"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no library loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(build, "library", build.library.__wrapped__)
    return tmp_path / "cplxsep"


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Puts a script in the compiler's place."""

    def make(body: str) -> Path:
        path = tmp_path / "c++"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("CXX", str(path))
        return path

    return make


def test_two_processes_may_build_at_once(cache):
    needs_compiler()
    users = [subprocess.Popen([sys.executable, "-c", USE]) for _ in range(2)]
    assert [user.wait(60) for user in users] == [0, 0]
    assert [path.suffix for path in cache.iterdir()] == [".so"]


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("left", [b"", b"who", b"hole\n"])
def test_a_library_that_was_cut_off_is_compiled_anew(compiler, left):
    """As by a power failure: it ended each process that used it, or was slow without a word."""
    made = compiler('while [ "$1" != -o ]; do shift; done; echo whole > "$2"; echo >> "$0.runs"')
    runs = made.with_name("c++.runs")
    path = build.built("position_norm")
    assert (build.built("position_norm"), runs.read_text()) == (path, "\n")
    path.write_bytes(left)
    again = build.built("position_norm")
    assert (again.read_bytes(), runs.read_text()) == (b"whole\n", "\n\n")


def test_no_compiler_is_said_in_one_line(cache, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    for use in (build.library, build.built):
        with pytest.raises(build.NoCompilerError, match="no-such-compiler"):
            use("position_norm")
    assert not cache.exists()


def test_a_compiler_that_fails_leaves_nothing(cache, compiler):
    compiler("echo 'x.cpp:1: error: no C++20 here' >&2; exit 1")
    with pytest.raises(build.NoCompilerError, match="no C\\+\\+20 here"):
        build.library("position_norm")
    assert list(cache.iterdir()) == []


def test_a_compiler_that_fails_is_asked_once(cache, compiler):
    log = cache.parent / "log"
    compiler(f"echo begun >> {log}; exit 1")
    for _ in range(2):
        with pytest.raises(build.NoCompilerError, match="failed"):
            build.library("position_norm")
    assert log.read_text().count("begun") == 1


@pytest.mark.usefixtures("cache")
def test_a_compiler_may_be_a_command_of_several_words(compiler, monkeypatch):
    path = compiler('test "$1" = "g++ -x" || exit 1; while test "$1" != -o; do shift; done; : > $2')
    monkeypatch.setenv("CXX", f"{path} 'g++ -x'")
    assert build.find_compiler() == [str(path), "g++ -x"]
    assert build.built("position_norm").is_file()
    monkeypatch.setenv("CXX", f"{path} 'g++")
    with pytest.raises(build.NoCompilerError, match="no C\\+\\+ compiler found"):
        build.find_compiler()


def test_unlike_arm_processors_share_no_library(monkeypatch):
    """They may share a home folder, and the first that compiles decides what it holds."""
    core = "processor\t: 0\nFeatures\t: fp{}\nCPU implementer\t: 0x41\nCPU part\t: {}\n\n"
    cores = [core.format(*own) for own in (("", "0xd08"), (" sve", "0xd08"), ("", "0xd40"))]
    names = set()
    for info in cores:
        monkeypatch.setattr(Path, "read_text", lambda *_, info=info, **__: info)
        names.add(build._cpu())
    assert len(names) == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written(cache, compiler):
    compiler("exit 0")
    cache.mkdir()
    cache.chmod(0o500)
    with pytest.raises(build.NoCompilerError, match="cannot keep compiled code in"):
        build.library("position_norm")


def test_a_cache_folder_that_is_a_file(cache, compiler):
    compiler("exit 0")
    cache.write_text("")
    with pytest.raises(build.NoCompilerError, match="cannot keep compiled code in"):
        build.library("position_norm")


def test_a_process_that_ends_takes_its_build_along(cache, compiler):
    compiler("sleep 60")
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", f"{BEGIN}; time.sleep(0.5)"], check=True, timeout=30)
    assert time.monotonic() - begun < 10
    assert list(cache.iterdir()) == []


def test_no_home_folder_is_said_in_one_line(monkeypatch):
    needs_compiler()
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(build.NoCompilerError, match="home directory"):
        build.built("position_norm")


def test_what_was_begun_is_waited_for_and_built_once(cache, compiler):
    log = cache.parent / "log"
    compiler(f'echo begun >> {log}; sleep 1; exec g++ "$@"')
    needs_compiler()
    build.begin.__wrapped__("residual_blocks")
    time.sleep(0.3)
    assert build.library("residual_blocks").lanes() in (4, 8, 16)
    assert log.read_text().count("begun") == 1
