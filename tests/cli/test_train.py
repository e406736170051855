"""`cplxsep train` as a user runs it: a whole small run, a check, and every mistake in one line."""

import json
import os
import shutil

import pytest
from synthetic import make_speech


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
    separated = run_cli("separate", examples / "two_talkers.wav", "-m", model, "-o", out)
    assert separated.returncode == 0, separated.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "two_talkers_s1.wav",
        "two_talkers_s2.wav",
    ]


def test_check_keeps_nothing(run_cli, tiny_config, tmp_path):
    done = run_cli("train", "--config", tiny_config, "--run-dir", tmp_path / "run", "--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ok\n"
    assert not (tmp_path / "run").exists()


def test_stopping_early_and_going_on(run_cli, tiny_config, tmp_path):
    arguments = ("train", "--config", tiny_config, "--run-dir", tmp_path / "run")
    assert run_cli(*arguments, "--max-minutes", "0").returncode == 0
    done = run_cli(*arguments, "--max-steps", "3")
    assert "resumed at step 0" in done.stderr
    assert "step 3: valid" in done.stderr


def test_a_removed_model_is_published_again(run_cli, tiny_config, tmp_path):
    """Regression: a finished run whose model folder was removed said that no score was finite."""
    arguments = ("train", "--config", tiny_config, "--run-dir", tmp_path / "run", "--max-steps", 1)
    assert run_cli(*arguments).returncode == 0
    shutil.rmtree(tmp_path / "run" / "model")
    done = run_cli(*arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


MISTAKES = [
    (2, ["--config", "none.toml"], "cannot read config none.toml"),
    (2, ["--set", "train.los=x"], "unknown key 'train.los'; did you mean 'loss'?"),
    (2, ["--set", "data.speech=''"], "data.speech is not set"),
    (1, ["--set", "data.speech=none.csv"], "none.csv"),
    (2, ["--set", "data.train_split=nope"], "has no split 'nope'; it has: cv, tr"),
    (2, ["--set", "data.valid_split=nope"], "has no split 'nope'"),
    (2, ["--resume", "none.pt"], "neither auto, never, nor a checkpoint file"),
    (1, ["--run-dir", "tiny.toml/run"], "cannot"),
    (4, ["--device", "cuda:99"], "cuda:99"),
    (2, ["--precision", "int4"], "'train.precision'"),
]


@pytest.mark.parametrize(("code", "changes", "message"), MISTAKES)
def test_mistakes_are_one_line(run_cli, tiny_config, tmp_path, code, changes, message):
    arguments = ["train", "--config", tiny_config, "--run-dir", tmp_path / "run", *changes]
    done = run_cli(*arguments, cwd=tmp_path)
    assert done.returncode == code
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_one_speaker_cannot_be_mixed(run_cli, tiny_config, tmp_path, tiny_speech):
    rows = tiny_speech.read_text().splitlines()
    alone = tiny_speech.with_name("alone.csv")
    alone.write_text("\n".join([rows[0], rows[1], *rows[5:]]) + "\n")
    done = run_cli(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run",
        "--set", f"data.speech='{alone}'",
    )  # fmt: skip
    assert done.returncode == 1
    assert "only 1" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_compiler_it_says_so_once_and_trains(run_cli, tiny_config, tmp_path):
    environment = {**os.environ, "CXX": "no-such-compiler", "XDG_CACHE_HOME": str(tmp_path)}
    done = run_cli(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", "--max-steps", "2",
        env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no compiled kernels, training is slower: no C++ compiler") == 1


def test_a_folder_of_speakers_is_split_by_speaker(run_cli, tiny_config, tmp_path):
    speech = make_speech(tmp_path / "speech", speakers=8)
    done = run_cli(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", "--max-steps", "1",
        "--set", f"data.speech='{speech}'",
        "--set", "data.train_split=train", "--set", "data.valid_split=valid",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_speaker_in_two_splits_is_refused(run_cli, tiny_config, tmp_path, tiny_speech):
    leaky = tiny_speech.with_name("leaky.csv")
    leaky.write_text(tiny_speech.read_text().replace("made,t5,cv", "made,t0,cv"))
    done = run_cli(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run",
        "--set", f"data.speech='{leaky}'",
    )  # fmt: skip
    assert done.returncode == 1
    assert "speaker t0 of made is in two splits" in done.stderr


def test_a_model_folder_that_is_of_no_run_is_left_alone(run_cli, tiny_config, tmp_path):
    """Regression: training in a folder with a `model` of its own deleted that."""
    keep = tmp_path / "model" / "precious.txt"
    keep.parent.mkdir()
    keep.write_text("mine")
    done = run_cli("train", "--config", tiny_config, "--run-dir", tmp_path)
    assert done.returncode == 2
    assert "choose another --run-dir" in done.stderr
    assert keep.read_text() == "mine"
