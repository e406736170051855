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
from cplxsep.training import checkpoint, publish
from cplxsep.training.resume import find_state


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
    names = {path.name for path in folder.iterdir()}
    names -= {"tensorboard"}  # where that is installed
    known = {checkpoint.NAME, checkpoint.PREVIOUS, "cache", "log.jsonl", "model", "curves.png"}
    assert names == known


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


def state(step):
    return {key: {} for key in checkpoint.KEYS} | {"step": step}


def test_saving_keeps_the_last_sound_checkpoint(tmp_path):
    checkpoint.save(tmp_path, state(1))
    checkpoint.save(tmp_path, state(2))
    assert checkpoint.load(tmp_path / checkpoint.NAME)["step"] == 2
    assert checkpoint.load(tmp_path / checkpoint.PREVIOUS)["step"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {checkpoint.NAME, checkpoint.PREVIOUS}


@pytest.mark.parametrize(
    ("section", "key", "value"), [("model", "start_maps", 8), ("optim", "optimizer", "muon")]
)
def test_a_checkpoint_of_another_run_is_refused(tiny_config, tmp_path, section, key, value):
    config = read_config(tiny_config).model_dump()
    config[section][key] = value
    checkpoint.save(tmp_path, {**state(1), "config": config})
    with pytest.raises(UsageError, match=f"{section}.{key} differ"):
        find_state(tmp_path, tmp_path / "model", "auto", read_config(tiny_config), print)


def test_a_checkpoint_without_the_newest_keys_is_taken(tiny_config, tmp_path):
    config = read_config(tiny_config).model_dump()
    del config["model"]["criterion"]
    checkpoint.save(tmp_path, {**state(7), "config": config})
    said = []
    model = tmp_path / "model"
    found = find_state(tmp_path, model, "auto", read_config(tiny_config), said.append)
    assert (found["step"], said) == (7, [])


def test_other_changes_are_named(tiny_config, tmp_path):
    before = read_config(tiny_config)
    checkpoint.save(tmp_path, {**state(7), "config": before.model_dump()})
    said = []
    now = read_config(tiny_config, ["train.loss=csim"])
    find_state(tmp_path, tmp_path / "model", "auto", now, said.append)
    assert said == ["resuming with changed train.loss"]


def test_a_named_checkpoint_of_another_run_is_named(tiny_config, tmp_path):
    """Regression: the error spoke of a checkpoint in the new run's folder, which has none."""
    before = read_config(tiny_config, ["model.start_maps=8"])
    checkpoint.save(tmp_path, {**state(7), "config": before.model_dump()})
    path, new = tmp_path / checkpoint.NAME, tmp_path / "new"
    with pytest.raises(UsageError) as error:
        find_state(new, new / "model", str(path), read_config(tiny_config), print)
    assert str(error.value).startswith(f"the checkpoint {path} is of another run")


def test_a_kill_while_publishing_loses_no_model(tmp_path):
    """The old model is aside and the new one half-written: the old one comes back."""
    model = tmp_path / "model"
    for name in (".model.old", ".model.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name)
    publish.recover(model)
    assert (model / "which").read_text() == ".model.old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
