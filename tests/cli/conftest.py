"""Fixtures for tests of commands."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from cplxsep.cli import common
from cplxsep.cli.app import app


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys) -> Iterator[Callable[..., Result]]:
    """Run a command in this process: loading torch anew for each would take seconds."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*args: object) -> Result:
        capsys.readouterr()
        try:
            code = common.run(partial(app, [str(arg) for arg in args]))
        except SystemExit as end:
            code = int(end.code or 0)
        return Result(code, *capsys.readouterr())

    yield run
    common.verbosity.level = 0
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A checkpoint folder with a small untrained network."""
    from standins import tiny_model

    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")
