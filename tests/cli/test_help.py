"""Help must be quick: nothing heavy is loaded before a command runs."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "scipy", "soundfile", "soxr", "matplotlib", "safetensors")


@pytest.mark.parametrize("arguments", [["--help"], ["separate", "--help"], ["models", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\n"
        "from cplxsep.cli.app import app\n"
        "try:\n"
        "    app(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout
    assert ("may stand anywhere" in done.stdout) == (arguments == ["--help"])


def test_refusing_an_unknown_model_loads_no_torch():
    code = (
        "import sys\n"
        "from cplxsep.cli import common\n"
        "from cplxsep.cli.app import app\n"
        "code = common.run(lambda: app(['separate', 'a.wav', '-m', 'nothing-like-this']))\n"
        "assert code == 3, code\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
