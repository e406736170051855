"""How errors are shown."""

import io
import sys
from pathlib import Path

import pytest

from cplxsep.cli import common
from cplxsep.engine.outcome import failure
from cplxsep.errors import InputError
from cplxsep.model_folder import catalogue


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("eval", "--ref", "nowhere", "--est", "nowhere"), 1),
        (("eval",), 2),
        (("models", "info", "nowhere"), 3),
    ],
)
def test_tracebacks_change_no_exit_code(command, arguments, code):
    plain = command(*arguments)
    assert (plain.code, "Traceback" in plain.err) == (code, False)
    done = command("-vv", *arguments)
    assert (done.code, "Traceback" in done.err) == (code, True)
    assert done.err.endswith(plain.err)


@pytest.mark.parametrize("kind", ["--format", "--exist"])
def test_a_word_that_is_no_choice(command, kind):
    done = command("separate", "a.wav", kind, "m4b")
    assert done.code == 2
    assert "'m4b' is not one of" in " ".join(done.err.replace("│", "").split())
    assert "Value error" not in done.err


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (["models", "list"], 1),
        (["models", "list", "-q"], 0),
        (["-q", "models", "list"], 0),
        (["models", "-v", "list"], 1),
        (["models", "info", "nothing", "-q"], 1),
        (["models", "info", "-q", "nothing"], 1),
        (["models", "info", "--", "-q"], 1),
    ],
)
def test_quiet_wherever_it_stands(command, monkeypatch, tmp_path, arguments, lines):
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    assert len(command(*arguments).err.splitlines()) == lines


def test_tracebacks_behind_the_command(command):
    assert "Traceback" in command("models", "info", "nothing", "-vv").err
    assert "Traceback" in command("models", "info", "nothing", "-v", "-v").err
    assert "Traceback" not in command("models", "info", "nothing", "-v").err


@pytest.mark.parametrize(
    ("label", "path", "message", "told"),
    [
        ("s (channel 1)", "s", "cannot write this", "s (channel 1): cannot write this"),
        ("s (channel 1)", "s", "s holds no samples", "s (channel 1) holds no samples"),
        ("s", "s", "its samples", "s: its samples"),
        ("<stdin>", "/t/stdin", "cannot read /t/stdin: no", "cannot read <stdin>: no"),
    ],
)
def test_a_failure_names_its_input_once(label, path, message, told):
    assert failure(label, Path(path), InputError(message)).error == told


def test_results_that_stdout_cannot_encode(monkeypatch):
    """As on a terminal of Western Europe: the others are still to be told."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252"))
    common.stdout("\u65e5_s1.wav")
    common.stdout("\u00e4_s1.wav")
    assert written.getvalue().split() == [b"\\u65e5_s1.wav", b"\xe4_s1.wav"]


def test_error_lines_hold_names_as_they_are(capsys):
    common.fail(InputError("rec:100:a.wav [bold] is bad"))
    assert capsys.readouterr().err == "error: rec:100:a.wav [bold] is bad\n"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["separate", ""], "''"),
        (["separate", "a.wav", "-m", ""], "-m ''"),
        (["separate", "a.wav", "-o", ""], "-o ''"),
        (["enhance", "a.wav", "--out="], "--out=''"),
        (["separate", "a.wav", "--cluster="], "--cluster=''"),
        (["separate", "a.wav", "--shard="], "--shard=''"),
    ],
)
def test_an_empty_argument_is_not_the_current_folder(command, arguments, what):
    done = command(*arguments)
    assert done.code == 2
    assert done.err.startswith(f"error: {what}: nothing is named")
    assert len(done.err.splitlines()) == 1
