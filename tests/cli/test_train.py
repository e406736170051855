"""`cplxsep train` as a user runs it: a whole small run, a check, and every mistake in one line."""

import json
import os

import pytest


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


MISTAKES = [
    (["--config", "none.toml"], "cannot read config none.toml"),
    (["--set", "train.los=x"], "unknown key 'train.los'; did you mean 'loss'?"),
    (["--set", "data.speech=''"], "data.speech is not set"),
    (["--set", "data.speech=none.csv"], "none.csv"),
    (["--set", "data.train_split=nope"], "has no split 'nope'; it has: cv, tr"),
    (["--set", "data.valid_split=nope"], "has no split 'nope'"),
    (["--resume", "none.pt"], "neither auto, never, nor a checkpoint file"),
    (["--device", "cuda:99"], "cuda:99"),
    (["--precision", "int4"], "'train.precision'"),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES)
def test_mistakes_are_one_line(run_cli, tiny_config, tmp_path, changes, message):
    arguments = ["train", "--config", tiny_config, "--run-dir", tmp_path / "run", *changes]
    done = run_cli(*arguments, cwd=tmp_path)
    assert done.returncode in (1, 2, 4)
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
