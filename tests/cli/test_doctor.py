import json
import sys

from standins import tiny_model

from cplxsep.engine import shelf


def test_doctor_finds_all_well(tmp_path, monkeypatch, command):
    tiny_model(tmp_path / "one")
    monkeypatch.setattr(shelf, "root", lambda: tmp_path)
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


def test_doctor_says_when_nothing_works(tmp_path, monkeypatch, command):
    monkeypatch.setattr(shelf, "root", lambda: tmp_path)
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
    monkeypatch.setattr(shelf, "root", lambda: tmp_path)
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
    monkeypatch.setattr(shelf, "root", lambda: tmp_path)
    found = json.loads(command("doctor", "--json").out)
    assert [model["ok"] for model in found["models"]] == [False, True]
    assert found["works"] is True
    (tmp_path / "two" / "model.safetensors").unlink()
    assert command("doctor").code == 3
