"""A run that was killed and resumed ends with the weights of one that was not."""

import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import reduce

import pytest
import torch
from rich.console import Console
from tiny_run import CONFIG

from cplxsep.config import ModelConfig, OptimConfig, read_config
from cplxsep.errors import InputError, UsageError
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.training import checkpoint, curves, run
from cplxsep.training.distributed import Ranks
from cplxsep.training.lock import exclusive
from cplxsep.training.optim import build_optimizers
from cplxsep.training.progress import Progress
from cplxsep.training.validate import Quality


def command(config, folder):
    return [
        sys.executable,
        "-m",
        "cplxsep",
        "train",
        "--config",
        config,
        "--run-dir",
        folder,
        *("--device", "cpu"),
    ]


def finish(config, folder, max_steps=None):
    """The same in this process, and what it says."""
    said = []
    options = run.Options(folder, device="cpu", max_steps=max_steps)
    try:
        run.train(read_config(config), options, None, said.append)
    finally:
        backends.disable()
    return "\n".join(said)


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
    finish(tiny_config, folder, 6)
    path = folder / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:1000])
    said = finish(tiny_config, folder)
    assert "corrupt" in said
    assert "previous checkpoint" in said
    assert_same(checkpoint.load(path), uninterrupted)


def test_both_checkpoints_corrupt_is_one_line_and_exit_2(tiny_config, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (checkpoint.NAME, checkpoint.PREVIOUS):
        (folder / name).write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match=r"^checkpoint .*$") as told:
        finish(tiny_config, folder)
    assert told.value.exit_code == 2


def state(step):
    return {key: {} for key in checkpoint.KEYS} | {"step": step}


def test_saving_keeps_the_last_sound_checkpoint(tmp_path):
    checkpoint.save(tmp_path, state(1))
    checkpoint.save(tmp_path, state(2))
    assert checkpoint.load(tmp_path / checkpoint.NAME)["step"] == 2
    assert checkpoint.load(tmp_path / checkpoint.PREVIOUS)["step"] == 1
    assert {p.name for p in tmp_path.iterdir()} == {checkpoint.NAME, checkpoint.PREVIOUS}


@pytest.mark.parametrize(
    ("section", "key", "value"), [("model.unet", "start_maps", 8), ("optim", "optimizer", "muon")]
)
def test_a_checkpoint_of_another_run_is_refused(tiny_config, tmp_path, section, key, value):
    config = read_config(tiny_config).model_dump()
    reduce(dict.get, section.split("."), config)[key] = value
    checkpoint.save(tmp_path, {**state(1), "config": config})
    with pytest.raises(UsageError, match=f"{section}.{key} differ"):
        checkpoint.choose(tmp_path, tmp_path / "model", "auto", read_config(tiny_config), print)


def test_a_checkpoint_without_the_newest_keys_is_taken(tiny_config, tmp_path):
    config = read_config(tiny_config).model_dump()
    del config["model"]["unet"]["criterion"]
    checkpoint.save(tmp_path, {**state(7), "config": config})
    said = []
    model = tmp_path / "model"
    found = checkpoint.choose(tmp_path, model, "auto", read_config(tiny_config), said.append)
    assert (found["step"], said) == (7, [])


def test_other_changes_are_named(tiny_config, tmp_path):
    before = read_config(tiny_config)
    checkpoint.save(tmp_path, {**state(7), "config": before.model_dump()})
    said = []
    now = read_config(tiny_config, ["train.loss=csim"])
    checkpoint.choose(tmp_path, tmp_path / "model", "auto", now, said.append)
    assert said == ["resuming with changed train.loss"]


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd", "complex-adamw"])
def test_a_changed_option_of_the_optimiser_has_its_effect(optimizer):
    """Regression: the change was told, and the checkpoint's own value went on."""
    model = SeparationModel(ModelConfig(start_maps=4, levels=1))
    before, now = (
        OptimConfig(optimizer=optimizer, weight_decay=decay, momentum=0.5 + decay)
        for decay in (0.0, 0.25)
    )
    resumed = build_optimizers(model, now)
    resumed.restore(build_optimizers(model, before).state_dict())
    fresh = build_optimizers(model, now).state_dict()
    parts = fresh if optimizer == "muon" else {"": fresh}
    of_resumed = resumed.state_dict() if optimizer == "muon" else {"": resumed.state_dict()}
    for name, part in parts.items():
        assert of_resumed[name]["param_groups"] == part["param_groups"]


def test_a_corrupt_checkpoint_does_not_replace_the_sound_one(tmp_path):
    """Regression: the save after a resume from the previous one made the corrupt one previous."""
    for step in (1, 2):
        checkpoint.save(tmp_path, state(step))
    (tmp_path / checkpoint.NAME).write_bytes(b"not a checkpoint")
    assert checkpoint.newest(tmp_path)[0]["step"] == 1
    checkpoint.save(tmp_path, state(3))
    steps = [checkpoint.load(tmp_path / n)["step"] for n in (checkpoint.NAME, checkpoint.PREVIOUS)]
    assert steps == [3, 1]
    assert (tmp_path / checkpoint.CORRUPT).read_bytes() == b"not a checkpoint"


def test_one_run_at_a_time(tmp_path):
    """Regression: two runs in one folder wrote over each other's checkpoints and log."""
    folder = tmp_path / "run"
    with (
        exclusive(folder),
        pytest.raises(UsageError, match="another run is at work in"),
        exclusive(folder),
    ):
        pass
    assert not folder.exists()
    with exclusive(folder):
        (folder / "log.jsonl").touch()
    assert folder.exists()


def test_what_fails_in_a_validation_is_done_again(tiny_config, tmp_path, monkeypatch):
    """Regression: a validation that failed lost all steps since the last save."""
    changes = ["train.compile=false", "train.save_every=1000", "train.steps=7"]
    config = read_config(tiny_config, changes)
    options = run.Options(tmp_path / "run", device="cpu")
    for broken in ("cplxsep.training.selection.validate", "cplxsep.training.selection.publish"):

        def fails(*_, **__):
            raise InputError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(broken, fails)
            with pytest.raises(InputError, match="disk is full"):
                run.train(config, options, None, print)
        saved = checkpoint.load(options.folder / checkpoint.NAME)
        assert (saved["step"], saved["progress"]["history"]) == (5, [])
        assert saved["progress"]["best"] == float("-inf")
    run.train(config, options, None, print)
    history = checkpoint.load(options.folder / checkpoint.NAME)["progress"]["history"]
    assert [step for step, _ in history] == [5, 7]


@pytest.mark.parametrize(("minutes", "steps"), [(1e-9, [*range(8)]), (60, [0, 5, 7])])
def test_checkpoints_by_the_clock(tiny_config, tmp_path, monkeypatch, minutes, steps):
    """By the clock alone, where `save_every`, which older configurations have, is 0."""
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda folder, state: (saved.append(state["step"]), save(folder, state))
    )
    changes = ["train.compile=false", "train.steps=7", "train.save_every=0"]
    config = read_config(tiny_config, [*changes, f"train.save_minutes={minutes}"])
    run.train(config, run.Options(tmp_path / "run", device="cpu"), None, print)
    assert sorted(set(saved)) == steps


def test_the_bar_of_a_resumed_run_begins_where_it_goes_on(tiny_config, tmp_path):
    """Regression: it stood at step 0 until the first step was done."""
    config = read_config(tiny_config, ["train.compile=false"])
    options = run.Options(tmp_path / "run", device="cpu", max_steps=7)
    run.train(config, options, None, print)
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    run.train(config, replace(options, max_steps=8), screen, print)
    shown = screen.file.getvalue()
    assert "step 7/12" in shown
    assert "step 0/12" not in shown


def test_the_end_of_another_process_saves_first(tiny_config, tmp_path, monkeypatch):
    """Regressions: all steps since the last save were lost, with a traceback; and batch norm had
    taken the step in that was not made.
    """
    changes = ["train.compile=false", "train.save_every=1000", "model.norm=batch"]
    config = read_config(tiny_config, changes)
    run.train(config, run.Options(tmp_path / "whole", device="cpu", max_steps=3), None, print)
    average = Ranks.average

    def alone_at_last(self, tensors):
        if checkpoint_steps.append(0) or len(checkpoint_steps) > 3:
            raise RuntimeError(
                "[/pytorch/gloo/transport/tcp/pair.cc:561] Connection closed by peer"
            )
        average(self, tensors)

    checkpoint_steps = []
    monkeypatch.setattr(Ranks, "average", alone_at_last)
    options = run.Options(tmp_path / "run", device="cpu")
    with pytest.raises(InputError, match="another process ended, at step 3"):
        run.train(config, options, None, print)
    saved = checkpoint.load(options.folder / checkpoint.NAME)
    assert saved["step"] == 3
    whole = checkpoint.load(tmp_path / "whole" / checkpoint.NAME)["model"]
    assert all(torch.equal(value, saved["model"][name]) for name, value in whole.items())


def test_a_run_in_pieces_is_as_patient_as_one():
    """Regression: the validation at the end of each piece counted too."""
    progress = Progress(history=[(500, 3.0), (600, 1.0), (700, math.nan), (1000, 2.0)])
    assert progress.since_best(500) == 1
    assert Progress(history=[(500, math.nan), (1000, math.nan)]).since_best(500) == 1
    assert Progress().since_best(500) == 0


def test_the_average_leaves_the_validation_of_its_step_in_the_curves(tmp_path):
    """Regression: of the two lines of one step, the curves had the later one only."""
    lines = [
        {"step": 9, "valid_si_sdr_i": 1.0},
        {"step": 9, "average_si_sdr_i": 2.0},
        {"step": 9, "loss": 3.0},
        {"step": 9, "valid_si_sdr_i": 4.0},
    ]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join(map(json.dumps, lines)))
    assert sorted(map(str, curves.read(log))) == sorted(map(str, lines[1:]))


def test_a_named_checkpoint_of_another_run_is_named(tiny_config, tmp_path):
    """Regression: the error spoke of a checkpoint in the new run's folder, which has none."""
    before = read_config(tiny_config, ["model.start_maps=8"])
    checkpoint.save(tmp_path, {**state(7), "config": before.model_dump()})
    path, new = tmp_path / checkpoint.NAME, tmp_path / "new"
    with pytest.raises(UsageError) as error:
        checkpoint.choose(new, new / "model", str(path), read_config(tiny_config), print)
    assert str(error.value).startswith(f"the checkpoint {path} is of another run")


def test_a_run_in_pieces_gives_the_model_of_one(tiny_config, tmp_path, monkeypatch):
    """Regression: the validation at the end of each piece counted for the model, and the average
    of the best was made there.
    """
    scores = {3: 20.0, 5: 5.0, 8: 30.0, 10: 4.0, 12: 4.5}
    asked = []

    class State(run.RunState):
        def __init__(self, *args):
            super().__init__(*args)
            asked.append(self)

    monkeypatch.setattr(run, "RunState", State)
    monkeypatch.setattr(
        "cplxsep.training.selection.validate",
        lambda *_, **__: Quality(scores[asked[-1].progress.step]),
    )
    changes = ["train.compile=false", "train.average_best=2", "train.steps=12"]
    config = read_config(tiny_config, changes)
    for name, ends in {"whole": (None,), "parts": (3, 8, 8, 10, None)}.items():
        options = run.Options(tmp_path / name, device="cpu")
        for end in ends:
            said = []
            run.train(config, replace(options, max_steps=end), None, said.append)
            metrics = json.loads((tmp_path / name / "model" / "metrics.json").read_text())
            expected = {3: (3, 20.0)}.get(end, (5, 5.0))
            assert (metrics["training"]["step"], metrics["valid"]["si_sdr_i"]) == expected
            assert any(f"{expected[1]:.2f} dB" in line for line in said[-1].splitlines())
            assert any("does not count" in line for line in said) == (end == 8 and len(said) > 2)
    states = [checkpoint.load(tmp_path / name / checkpoint.NAME) for name in ("whole", "parts")]
    assert_same(*states)
    assert states[0]["progress"]["best"] == states[1]["progress"]["best"] == 5.0
    for file in ("model/model.safetensors", "best/5.safetensors", "best/12.safetensors"):
        whole, parts = (tmp_path / name / file for name in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()
    assert len([*(tmp_path / "parts" / "best").iterdir()]) == 2


def test_a_named_checkpoint_does_not_take_the_place_of_a_better_run(tiny_config, tmp_path):
    """Regression: the folder's better model was replaced, or the score told was of another."""
    config = read_config(tiny_config)
    run_dir, before = tmp_path / "run", tmp_path / "before"
    scored = {"best": 3.0, "history": [(5, 3.0), (10, math.nan)]}

    def saved(step, **progress):
        return {**state(step), "config": config.model_dump(), "progress": scored | progress}

    def resume(named):
        checkpoint.save(before, named)
        path, model = str(before / checkpoint.NAME), run_dir / "model"
        return checkpoint.choose(run_dir, model, path, config, print)

    resume(saved(9))
    (run_dir / "model").mkdir(parents=True)
    checkpoint.save(run_dir, saved(11))
    for other in (saved(9), saved(12, best=4.0), saved(12, history=[])):
        with pytest.raises(UsageError, match=r"run of its own, at step 11, .*another --run-d"):
            resume(other)
    assert resume(saved(11))["step"] == 11
    assert resume(saved(12))["step"] == 12
    (run_dir / "model").rmdir()
    assert resume(saved(9))["progress"]["best"] == -math.inf
