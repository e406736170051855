"""A run that was killed and resumed ends with the weights of one that was not."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from tiny_run import CONFIG

from cplxsep.config import read_config
from cplxsep.errors import UsageError
from cplxsep.training import checkpoint


def command(config, folder, *more):
    return [
        sys.executable,
        "-m",
        "cplxsep",
        "train",
        "--config",
        config,
        "--run-dir",
        folder,
        "--device",
        "cpu",
        *more,
    ]


def finish(config, folder, *more):
    args = [str(item) for item in command(config, folder, *more)]
    done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_speech):
    folder = tmp_path_factory.mktemp("whole")
    config = folder / "tiny.toml"
    config.write_text(CONFIG.format(speech=tiny_speech))
    finish(config, folder / "run")
    return checkpoint.load(folder / "run" / checkpoint.NAME)


def assert_same(a, b):
    assert a["step"] == b["step"]
    for part in ("model", "average"):
        for name, value in a[part].items():
            assert torch.equal(value, b[part][name]), (part, name)
    assert a["progress"]["history"] == b["progress"]["history"]


def test_sigkill_at_any_moment(uninterrupted, tiny_config, tmp_path):
    """Killed three times at moments that depend on the machine, then finished."""
    folder = tmp_path / "run"
    kills = 0
    for extra in (0.0, 0.05, 0.3):
        args = [str(item) for item in command(tiny_config, folder)]
        process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = newest(folder)
        deadline = time.monotonic() + 120
        while newest(folder) == before and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(extra)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills
    finish(tiny_config, folder)
    assert_same(checkpoint.load(folder / checkpoint.NAME), uninterrupted)


def newest(folder):
    try:
        return (folder / checkpoint.NAME).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def test_a_corrupt_checkpoint_falls_back_to_the_previous(uninterrupted, tiny_config, tmp_path):
    folder = tmp_path / "run"
    finish(tiny_config, folder, "--max-steps", "6")
    path = folder / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:1000])
    done = finish(tiny_config, folder)
    assert "corrupt" in done.stderr
    assert "previous checkpoint" in done.stderr
    # One validation more than the uninterrupted run: at the early end. Weights are the same.
    state = checkpoint.load(path)
    for name, value in uninterrupted["model"].items():
        assert torch.equal(value, state["model"][name])


def test_both_checkpoints_corrupt_is_one_line_and_exit_2(tiny_config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (checkpoint.NAME, checkpoint.PREVIOUS):
        (folder / name).write_bytes(b"not a checkpoint")
    args = [str(item) for item in command(tiny_config, folder)]
    done = subprocess.run(args, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("error: checkpoint ")
    assert done.stderr.count("\n") == 1


def test_saving_keeps_the_last_sound_checkpoint(tmp_path):
    checkpoint.save(tmp_path, {"step": 1})
    checkpoint.save(tmp_path, {"step": 2})
    assert checkpoint.load(tmp_path / checkpoint.NAME)["step"] == 2
    assert checkpoint.load(tmp_path / checkpoint.PREVIOUS)["step"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {checkpoint.NAME, checkpoint.PREVIOUS}


def test_a_checkpoint_of_another_model_is_refused(tiny_config, tmp_path):
    from cplxsep.training.run import Options, _state

    config = read_config(tiny_config)
    other = config.model.model_copy(update={"start_maps": 8})
    state = {"step": 1, "config": {"model": other.model_dump()}}
    checkpoint.save(tmp_path, state)
    with pytest.raises(UsageError, match="start_maps differ"):
        _state(Options(folder=tmp_path), config, print)
