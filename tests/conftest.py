"""Fixtures shared by all tests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import CONFIG, write_speech

# Threads of several processes on the same cores would wait for each other. Before torch is
# imported, and for all commands that tests run.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real speech corpora; tests that need it skip where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "speech.csv").is_file():
        pytest.skip("the speech corpora (../shared/data) are not here")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """Folder with the shipped example recordings."""
    return ROOT / "examples"


@pytest.fixture(scope="session")
def run_cli():
    """Run `cplxsep ARGS...` in a subprocess, as a user does."""

    def run(*args: object, cwd: Path | None = None, timeout: float = 300, **kwargs):
        command = [sys.executable, "-P", "-m", "cplxsep", *map(str, args)]
        return subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False, **kwargs
        )

    return run


@pytest.fixture(scope="session")
def tiny_speech(tmp_path_factory) -> Path:
    """Manifest of made-up talkers with splits tr and cv."""
    return write_speech(tmp_path_factory.mktemp("speech"))


@pytest.fixture
def close(monkeypatch):
    """Makes a folder that cannot be listed: root may read all."""
    list_folder = os.scandir

    def close(folder):
        def refuse(place="."):
            if os.fspath(place) == os.fspath(folder):
                raise PermissionError(13, "Permission denied", os.fspath(folder))
            return list_folder(place)

        monkeypatch.setattr(os, "scandir", refuse)

    return close


@pytest.fixture
def tiny_config(tmp_path, tiny_speech) -> Path:
    """Configuration of a training run of seconds."""
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG.format(speech=tiny_speech))
    return path
