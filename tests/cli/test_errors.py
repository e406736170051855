"""How errors are shown."""

import pytest

from cplxsep.cli import common
from cplxsep.errors import InputError


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


def test_error_lines_hold_names_as_they_are(capsys):
    common.fail(InputError("rec:100:a.wav [bold] is bad"))
    assert capsys.readouterr().err == "error: rec:100:a.wav [bold] is bad\n"
