import ctypes
import json
import os
import sys

import pytest
from native_code import has_bytes, needs_compiler
from standins import tiny_model

from cplxsep.model_folder import catalogue
from cplxsep.nn.native import build


def test_doctor_finds_all_well(tmp_path, monkeypatch, command):
    tiny_model(tmp_path / "one")
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    done = command("doctor")
    assert done.code == 0
    for name in (
        "python",
        "torch",
        "soundfile",
        "soxr",
        "gpus",
        "bf16",
        "c++ compiler",
        "model one",
    ):
        assert name in done.out
    found = json.loads(command("doctor", "--json").out)
    assert found["works"] is True
    assert "libsndfile" in found["soundfile"]
    assert found["cpu"]["threads"] >= 1
    assert found["cpu"]["int8"] is has_bytes()


def test_doctor_names_a_cache_folder_that_cannot_be_used(tmp_path, monkeypatch, command):
    needs_compiler()
    tiny_model(tmp_path / "models" / "one")
    (tmp_path / "cache").write_text("")
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path / "models")
    monkeypatch.setattr(build, "library", build.library.__wrapped__)
    assert json.loads(command("doctor", "--json").out)["compiled code"] == str(build.cache_folder())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = command("doctor")
    assert done.code == 0
    assert f"error cannot keep compiled code in {tmp_path / 'cache' / 'cplxsep'}: " in done.out


@pytest.mark.skipif(sys.platform != "linux", reason="no capabilities")
def test_a_cache_folder_that_must_not_be_read(model, tmp_path, examples, run_cli):
    """HOME of another user, as in containers that run with another user id."""
    needs_compiler()
    libc = ctypes.CDLL(None)

    def obey():
        for capability in (1, 2):  # of root, to write and read everything
            libc.prctl(24, capability)

    cache = tmp_path / "cache"
    cache.mkdir(mode=0)
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    arguments = ("-v", "separate", examples / "two_talkers.wav", "-m", model, "--plot")
    done = run_cli(*arguments, cwd=tmp_path, env=environment, preexec_fn=obey)
    assert done.returncode == 0, done.stderr
    used, note, file = done.stderr.splitlines()
    assert note.startswith("note: ")
    assert "6.0 s of audio" in file
    why = f"cannot keep compiled code in {cache}/cplxsep: Permission denied"
    assert f"plain PyTorch: {why}" in used
    done = run_cli(*arguments[1:-1], cwd=tmp_path, env=environment, preexec_fn=obey)
    assert (
        done.stderr.splitlines()[0] == f"note: plain PyTorch: {why}; it takes several times as long"
    )


def test_doctor_says_when_nothing_works(tmp_path, monkeypatch, command):
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    # None makes the import fail, as a broken installation does.
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    done = command("doctor", "--json")
    found = json.loads(done.out)
    assert done.code == 3
    assert found["works"] is False
    assert "torchaudio" in found["torchaudio"]["error"]
    assert len(done.err.splitlines()) == 1
    assert command("doctor").code == 3


def test_doctor_needs_libraries_that_no_model_does(tmp_path, monkeypatch, command):
    tiny_model(tmp_path / "one")
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    done = command("doctor", "--json")
    found = json.loads(done.out)
    assert done.code == 4
    assert found["works"] is False
    assert "soundfile" in found["soundfile"]["error"]


def test_doctor_outlives_a_corrupt_model(tmp_path, monkeypatch, command):
    folder = tiny_model(tmp_path / "one")
    (folder / "model.safetensors").write_bytes(b"")
    tiny_model(tmp_path / "two")
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    found = json.loads(command("doctor", "--json").out)
    assert [model["ok"] for model in found["models"]] == [False, True]
    assert found["works"] is True
    (tmp_path / "two" / "model.safetensors").unlink()
    assert command("doctor").code == 3
