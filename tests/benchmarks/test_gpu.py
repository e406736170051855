"""What measures a GPU, small and on the CPU: every part has figures, and nothing stops the rest."""

import argparse
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import gpu
import gpu_mixtures
import gpu_parity
import gpu_speed
import pytest
from gpu_report import Process, Report
from gpu_trainings import configuration, of_minutes, to_time

from cplxsep.data.manifest import load_speech
from cplxsep.nn import backends


@pytest.fixture
def options(tmp_path):
    return argparse.Namespace(device="cpu", quick=True, out=tmp_path, folder=tmp_path / "speech")


def rows(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_every_form_is_beside_its_oracle(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu_parity.py", "parity", "--device", "cpu", "--quick"])
    try:
        gpu_parity.main()
    finally:
        backends.disable()
    found = rows(capsys)
    assert len(found) > 15
    assert [row for row in found if row["outcome"] != "within"] == []


def test_a_form_that_is_wrong_or_fails_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu_parity.py", "parity", "--device", "cpu", "--quick"])
    monkeypatch.setattr(gpu_parity, "recurrence", lambda maps, *_: 1.01 * maps[..., :32])
    monkeypatch.setattr(gpu_parity, "residual_norm", lambda *_: 1 / 0)
    for group in ("between", "networks", "inference"):
        monkeypatch.setattr(gpu_parity, group, lambda *_: [])
    try:
        gpu_parity.main()
    finally:
        backends.disable()
    found = {row["form"]: row for row in rows(capsys)}
    assert found["norm of a position 1x3x5x8"]["outcome"] == "failed"
    assert "ZeroDivisionError" in found["norm of a position 1x3x5x8"]["error"]
    assert found["recurrence along bands 1x3x5x8"]["outcome"] in ("APART", "failed")
    assert found["complex norm 1x3x5x8"]["outcome"] == "within"


def test_the_environment_and_the_engine_in_figures(options, capsys):
    gpu_speed.environment(options)
    assert {"torch", "triton", "cores"} <= {row["what"] for row in rows(capsys)}
    gpu_speed.engine(options)
    limits, found = rows(capsys)
    assert limits["TFLOP/s"] > 0
    assert found["audio s/s"] > 0
    assert found["of limit"] > 0
    gpu_speed.profile(options)
    assert rows(capsys)[0]["profiled s"] > 0
    told = (options.out / "profile-dce-2spk-8000.txt").read_text()
    assert "function calls" in told  # of the host, too
    assert "(forward)" in told


def test_the_commands_in_figures(options, capsys):
    gpu_speed.files(options)
    assert rows(capsys)[-1]["audio s/s"] > 0
    gpu_speed.training(options)
    found = rows(capsys)[-1]
    assert found["outcome"] == "trained", found
    assert found["products allow s/s"] > 0


def test_all_that_is_timed_is_a_configuration(tmp_path):
    """Regression: two were not, and the part ended with the first of them."""
    for name, batch in gpu_speed.TRAININGS.items():
        changes = to_time(tmp_path / "speech.csv", batch, 400, quick=False)
        config = configuration(name, changes)
        assert config.data.mixtures == ""
        assert config.train.batch == batch


@pytest.mark.parametrize("name", ["dce-2spk", "dce-talk", "dce-denoise", "dce-denoise-live"])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("there", [(), ("noise.csv",), ("noise.csv", "rooms")])
def test_a_run_of_minutes_has_the_data_that_are_there(tmp_path, name, noise, there):
    """Regressions: pauses beside noise, and rooms that no parcel has, were refused."""
    for part in there:
        (tmp_path / part).mkdir()
    config = configuration(name, of_minutes(name, tmp_path, noise))
    own = configuration(name).noise
    in_noise = "noise.csv" in there and bool(noise or own.recordings)
    assert config.noise.recordings == (str(tmp_path / "noise.csv") if in_noise else "")
    in_rooms = "rooms" in there and bool(own.rooms)
    assert config.noise.rooms == (str(tmp_path / "rooms") if in_rooms else "")
    assert config.train.accumulate == 1


def test_processes_that_draw_mixtures_load_no_torch():
    code = "import sys, gpu_mixtures; sys.exit('torch' in sys.modules)"
    folder = Path(gpu_mixtures.__file__).parent
    assert subprocess.run([sys.executable, "-c", code], cwd=folder).returncode == 0


def test_mixtures_in_figures(options, capsys):
    options.workers = 1
    gpu_mixtures.mixtures(options)
    found = rows(capsys)[-1]
    assert found["recipe"] == "conversations"
    assert found["drawn, s/s"] > found["alone, s/s"] > 0
    assert found["in all, s/s"] > 0


def test_made_up_speech_is_a_data_folder(options, capsys):
    gpu_speed.speech(options)
    capsys.readouterr()
    talkers = {item.speaker: item.split for item in load_speech(options.folder / "speech.csv")}
    assert sorted(talkers.values()).count("valid") >= 2
    assert sorted(talkers.values()).count("train") >= 2


def process(tmp_path, code, limit=60.0, name="part"):
    return Process(name, name, [sys.executable, "-c", code], tmp_path / name, limit)


def test_what_was_found_before_a_failure_or_the_limit_is_kept(tmp_path):
    say = "import json, time; print(json.dumps({'a': 1}), flush=True); print('noise', flush=True);"
    failed = process(tmp_path, f"{say} raise ValueError('no card')").wait()
    assert failed.outcome == "failed (1): ValueError: no card"
    assert failed.rows == [{"a": 1}]
    begun = time.monotonic()
    stopped = process(tmp_path, f"{say} time.sleep(60)", limit=1.5).wait()
    assert time.monotonic() - begun < 15
    assert stopped.outcome == "stopped after 2 s"
    assert stopped.rows == [{"a": 1}]


def test_a_process_that_heeds_nothing_is_ended_with_its_children(tmp_path):
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "pid")]
    assert Process("p", "p", command, tmp_path / "p", 2.0).wait().outcome == "stopped after 2 s"
    child = int((tmp_path / "pid").read_text())
    state = Path(f"/proc/{child}/stat")
    killed = time.monotonic()  # which takes effect once it has a turn on a busy core
    while state.exists() and state.read_text().split()[2] == "R" and time.monotonic() < killed + 10:
        time.sleep(0.05)
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_the_report_has_a_line_for_each_part(tmp_path):
    report = Report(tmp_path, 1.0)
    report.add(process(tmp_path, 'print(\'{"rate": 3.14159, "of": "a|b"}\')', name="one").wait())
    report.add(process(tmp_path, "raise SystemExit('no | card')", name="two").wait())
    text = (tmp_path / "report.md").read_text()
    assert "| one | done |" in text
    assert "| two | failed (1): no / card |" in text
    assert "| 3.142 | a/b |" in text
    assert json.loads((tmp_path / "report.json").read_text())["parts"][1]["name"] == "two"


def test_weights_come_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "PIECE", 10_000)
    assert gpu.weights(tmp_path / "run", tmp_path / "out") == []
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    content = bytes(range(256)) * 200
    (model / "model.safetensors").write_bytes(content)
    pieces = gpu.weights(tmp_path / "run", tmp_path / "out")
    assert len(pieces) > 3
    assert all(piece.stat().st_size <= 10_000 for piece in pieces)
    whole = tmp_path / "whole.tar"
    whole.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with tarfile.open(whole) as tar:
        assert tar.extractfile("model/model.safetensors").read() == content


def test_the_command_goes_through_its_parts(tmp_path):
    """A parcel that is none, and so a training that fails: both are in the report."""
    script = Path(gpu.__file__)
    (tmp_path / "no.parcel").write_text("no")
    done = subprocess.run(
        [
            *(sys.executable, script, tmp_path / "out", "--device", "cpu", "--quick"),
            *("--only", "data,train", "--parcels", tmp_path / "no.parcel", "--minutes", "3"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "| data | failed (1): error:" in done.stdout
    assert "no.parcel is no parcel" in done.stdout
    assert "| train | failed" in done.stdout
    assert "no weights" in done.stdout
