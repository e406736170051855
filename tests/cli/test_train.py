"""`cplxsep train` as a user runs it: a whole small run, a check, and every mistake in one line."""

import json
import os
import shutil
from importlib.util import find_spec

import pytest
from synthetic import make_speech

from cplxsep.training import log


def test_a_run_gives_a_log_and_a_model_that_separates(run_cli, tiny_config, tmp_path, examples):
    done = run_cli("train", "--config", tiny_config, "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    model = tmp_path / "run" / "model"
    assert done.stdout == f"{model}\n"
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "valid_si_sdr_i" in line] == [5, 10, 12]
    assert "valid SI-SDR improvement" in done.stderr
    metrics = json.loads((model / "metrics.json").read_text())
    assert metrics["training"]["step"] in (5, 10, 12)
    checked = run_cli("models", "verify", model)
    assert checked.returncode == 0, checked.stderr
    out = tmp_path / "out"
    run = model.parent
    separated = run_cli("separate", examples / "two_talkers.wav", "-m", run, "-o", out)
    assert separated.returncode == 0, separated.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "two_talkers_s1.wav",
        "two_talkers_s2.wav",
    ]


EAGER = ("--device", "cpu", "--set", "train.compile=false")  # leaves nothing in this process


def test_check_keeps_nothing(command, tiny_config, tmp_path):
    done = command(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER, "--check"
    )
    assert done.code == 0, done.err
    assert done.out == "ok\n"
    assert not (tmp_path / "run").exists()


def test_stopping_early_and_going_on(command, tiny_config, tmp_path):
    arguments = ("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER)
    assert command(*arguments, "--max-minutes", "0").code == 0
    done = command(*arguments, "--max-steps", "3")
    assert "resumed at step 0" in done.err
    assert "step 3: valid" in done.err
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "cplxsep separate -m" in done.err.splitlines()[-1]
    if find_spec("tensorboard"):
        assert list((tmp_path / "run" / "tensorboard").glob("events.*"))


def test_the_first_start_tells_that_it_decodes(command, tiny_config, tmp_path, monkeypatch):
    """Regression: over a minute without a word, for a folder of half a gigabyte."""
    monkeypatch.setattr(log, "SHORT", 1.0)
    arguments = ("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER)
    done = command(*arguments, "--max-steps", "1")
    where = f"once, into {tmp_path / 'run' / 'cache'}: 0 MB"
    told = [line for line in done.err.splitlines() if "decoding" in line]
    assert told == [
        f"decoding 4 recordings (0.0 h), {where}",
        f"decoding 2 recordings (0.0 h), {where}",
    ]
    assert "decoding" not in command(*arguments, "--max-steps", "2").err


def test_a_removed_model_is_published_again(command, tiny_config, tmp_path):
    """Regression: a finished run whose model folder was removed said that no score was finite."""
    arguments = ("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER)
    arguments += ("--max-steps", 1)
    assert command(*arguments).code == 0
    shutil.rmtree(tmp_path / "run" / "model")
    done = command(*arguments)
    assert done.code == 0, done.err
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


MISTAKES = [
    (2, ["--config", "none.toml"], "no file and no shipped config none.toml: cplxsep train --list"),
    (2, ["--config", "dce-2spk-8k-larg"], "did you mean 'dce-2spk-8k-large'? cplxsep train --list"),
    (2, ["--set", "train.los=x"], "--set train.los=x: unknown key 'train.los'; did you mean 'loss"),
    (2, ["--config", "dce-2spk", "--set", "optim.lr=x"], "error: --set optim.lr=x: 'optim.lr': "),
    (
        2,
        ["--set", "train.accumulate=3"],
        "with --set train.compile=false --set train.accumulate=3",
    ),
    (2, ["--set", "data.speech=''"], "neither data.speech is set"),
    (1, ["--set", "data.speech=none.csv"], "none.csv: No such file or directory (set by data."),
    (1, ["--set", "model.sources=1", "--set", "noise.recordings=no"], "(set by noise.recordings)"),
    (2, ["--set", "data.train_split=nope"], "has no split 'nope'; it has: cv, tr"),
    (2, ["--set", "data.valid_split=nope"], "has no split 'nope'"),
    (2, ["--resume", "none.pt"], "neither auto, never, nor a checkpoint file"),
    (2, ["--resume", "model.safetensors"], "a model's weights, without the state of a run: start"),
    (1, ["--run-dir", "tiny.toml/run"], "cannot"),
    (4, ["--device", "cuda:99"], "cuda:99"),
    (2, ["--set", "train.precision=int4"], "'train.precision'"),
]


@pytest.mark.parametrize(("code", "changes", "message"), MISTAKES)
def test_mistakes_are_one_line(command, tiny_config, tmp_path, monkeypatch, code, changes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.safetensors").write_text("weights")
    done = command(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER, *changes
    )
    assert done.code == code
    assert done.err.startswith("error: ")
    assert message in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_folder_does_not_hide_the_shipped_config_of_its_name(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dce-2spk").mkdir()
    (tmp_path / "mine").mkdir()
    assert "[model]" in command("train", "--config", "dce-2spk", "--show").out
    done = command("train", "--config", "mine", "--show")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: there is no file and no shipped config mine: ")


def test_one_speaker_cannot_be_mixed(command, tiny_config, tmp_path, tiny_speech):
    rows = tiny_speech.read_text().splitlines()
    alone = tiny_speech.with_name("alone.csv")
    alone.write_text("\n".join([rows[0], rows[1], *rows[5:]]) + "\n")
    done = command(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER,
        "--set", f"data.speech='{alone}'",
    )  # fmt: skip
    assert done.code == 1
    assert "only 1" in done.err
    assert done.err.count("\n") == 1


def test_without_a_compiler_it_says_so_once_and_trains(run_cli, tiny_config, tmp_path):
    environment = {**os.environ, "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path)}
    done = run_cli(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", "--max-steps", "2",
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no compiled kernels, training is slower: no C++ compiler") == 1


def test_a_folder_of_speakers_is_split_by_speaker(command, tiny_config, tmp_path):
    speech = make_speech(tmp_path / "speech", speakers=8)
    done = command(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER, "--max-steps", "1",
        "--set", f"data.speech='{speech}'",
        "--set", "data.train_split=train", "--set", "data.valid_split=valid",
    )  # fmt: skip
    assert done.code == 0, done.err


def test_a_speaker_in_two_splits_is_refused(command, tiny_config, tmp_path, tiny_speech):
    leaky = tiny_speech.with_name("leaky.csv")
    leaky.write_text(tiny_speech.read_text().replace("made,t5,cv", "made,t0,cv"))
    done = command(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER,
        "--set", f"data.speech='{leaky}'",
    )  # fmt: skip
    assert done.code == 1
    assert "speaker t0 of made is in two splits" in done.err


def test_a_model_folder_that_is_of_no_run_is_left_alone(command, tiny_config, tmp_path):
    """Regression: training in a folder with a `model` of its own deleted that."""
    keep = tmp_path / "model" / "precious.txt"
    keep.parent.mkdir()
    keep.write_text("mine")
    done = command("train", "--config", tiny_config, "--run-dir", tmp_path, *EAGER)
    assert done.code == 2
    assert "choose another --run-dir" in done.err
    assert keep.read_text() == "mine"
