"""What `cplxsep separate` reports when it cannot go on, and what -v adds."""

import json
import re

import numpy as np
import pytest
import soundfile

from cplxsep.engine import work
from cplxsep.errors import DeviceError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with two recordings."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        audio = 0.1 * np.random.default_rng(0).standard_normal(8000)
        soundfile.write(tmp_path / f"{name}.wav", audio, 8000)
    return tmp_path


def test_a_model_that_does_not_load_is_in_the_report(folder, command, model):
    (folder / "cut").mkdir()
    (folder / "cut" / "config.toml").write_bytes((model / "config.toml").read_bytes())
    (folder / "cut" / "model.safetensors").write_bytes(b"")
    arguments = ("a.wav", "nothing.wav", "-m", "cut", "--json", "--report", "r/report.json")
    done = command("separate", *arguments)
    assert done.code == 3
    assert len(done.err.splitlines()) == 1
    found = json.loads(done.out)
    assert json.loads((folder / "r" / "report.json").read_text()) == found
    assert (found["failed"], found["device"]) == (2, None)
    first, second = found["files"]
    assert first["error"].startswith("a.wav: not tried: ")
    assert "cut" in first["error"]
    assert "does not exist" in second["error"]


@pytest.mark.usefixtures("folder")
def test_what_was_not_tried_is_in_the_report(command, model, monkeypatch):
    def greedy(*_args, **_options):
        raise DeviceError("out of memory")

    monkeypatch.setattr(work, "separate_file", greedy)
    done = command("separate", "a.wav", "b.wav", "-m", model, "--json")
    assert done.code == 4
    assert len(done.err.splitlines()) == 1
    assert [entry["error"] for entry in json.loads(done.out)["files"]] == [
        "a.wav: out of memory",
        "b.wav: not tried: out of memory",
    ]


@pytest.mark.usefixtures("folder")
def test_verbose_tells_the_device_and_times(command, model):
    arguments = ("separate", "a.wav", "-m", model, "--device", "cpu", "--precision", "fp32")
    assert command(*arguments).err == ""
    used, file = command("-v", *arguments).err.splitlines()
    assert re.fullmatch("model tiny on cpu in fp32, (native code|plain PyTorch: .+)", used)
    assert file.startswith("a.wav: 1.0 s of audio separated in ")
