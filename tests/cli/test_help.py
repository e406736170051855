"""Help must be quick: nothing heavy is loaded before a command runs."""

import subprocess
import sys

import pytest

from cplxsep.cli.app import app
from cplxsep.metrics.names import DEFAULT_METRICS, METRICS

HEAVY = ("torch", "numpy", "scipy", "soundfile", "soxr", "matplotlib", "safetensors")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["separate", "--help"], ["models", "--help"], ["eval", "--help"]]
)
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


def test_the_help_names_all_metrics(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    told = " ".join(command("eval", "--help").out.replace("│", " ").split())
    assert f"Of {', '.join(METRICS)}; with commas." in told
    assert f"[default: {','.join(DEFAULT_METRICS)}]" in told


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


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("separate a.wav -m dce-2", ["dce-2spk"]),
        ("models info dce-d", ["dce-denoise", "dce-denoise-live"]),
        ("eval --model dce-2", ["dce-2spk"]),
        ("train --config paper/conv", ["paper/conv-tasnet"]),
        ("train --config dce-den", ["dce-denoise", "dce-denoise-live"]),
        ("train --init dce-2", ["dce-2spk"]),
        ("separate a.wav -m ./models/", []),
    ],
)
def test_the_shell_completes_names(monkeypatch, capsys, typed, offered):
    monkeypatch.setenv("_CPLXSEP_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", f"cplxsep {typed}")
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split())))
    with pytest.raises(SystemExit) as end:
        app(prog_name="cplxsep")
    assert end.value.code == 0
    assert capsys.readouterr().out.split() == offered
