"""What ends a training from outside or goes wrong within: one line, and nothing lost."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cplxsep.training import checkpoint

QUICK = ("--device", "cpu", "--set", "data.valid_mixtures=2", "--set", "train.compile=false")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_exits_130(tiny_config, tmp_path, number):
    folder = tmp_path / "run"
    arguments = ["train", "--config", tiny_config, "--run-dir", folder, *QUICK]
    arguments += ["--set", "train.steps=100000", "--set", "train.save_every=100000"]
    arguments += ["--set", "train.valid_every=100000"]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cplxsep", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    log = folder / "log.jsonl"
    while not (log.is_file() and log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    step = checkpoint.load(folder / checkpoint.NAME)["step"]
    assert step >= json.loads(log.read_text().splitlines()[0])["step"] == 20
    assert (
        err == f"stopped at step {step}, checkpoint written: the same command goes on from there\n"
    )


def test_a_full_disk_is_one_line_and_the_checkpoint_before_stays(command, tiny_config, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=440k", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk cannot be mounted here")
    try:
        cache = f"data.cache='{tmp_path}'"
        done = command(
            "train", "--config", tiny_config, "--run-dir", disk / "run", *QUICK, "--set", cache
        )
        assert done.code == 1, done.err
        assert done.out == ""
        assert done.err.count("\n") == done.err.count("valid SI-SDR") + 1
        assert "No space left on device" in done.err
        assert checkpoint.load(disk / "run" / checkpoint.NAME)["step"] > 0
        assert not list((disk / "run").glob(".*"))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_checkpoint_that_cannot_be_written_is_one_line(command, tiny_config, tmp_path):
    """A limit on the size of files stands in for a full disk where none can be mounted."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    cache = f"data.cache='{tmp_path}'"
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        done = command(
            "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *QUICK,
            "--set", "model.start_maps=8", "--set", cache,
        )  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert done.code == 1
    assert done.err.startswith("error: cannot write ")
    assert done.err.count("\n") == 1


def test_one_wrong_bit_in_a_checkpoint_is_seen(tmp_path):
    """In the numbers too, of which torch.load itself checks nothing."""
    import torch

    state = {key: {} for key in checkpoint.KEYS} | {"step": 7}
    state["model"] = {"weight": torch.zeros(4096)}
    for step in (7, 8):
        checkpoint.save(tmp_path, {**state, "step": step})
    path = tmp_path / checkpoint.NAME
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found, problems = checkpoint.newest(tmp_path)
    assert found is not None
    assert found["step"] == 7
    assert len(problems) == 1
    assert "corrupt: wrong checksum" in problems[0]


def test_a_missing_recording_is_left_out_with_a_line(command, tiny_config, tiny_speech, tmp_path):
    rows = tiny_speech.read_text().splitlines()
    root = tiny_speech.parent
    absolute = [rows[0], *(f"{root}/{row}" for row in rows[1:])]
    absolute.append(f"{root}/gone.wav,made,t0,tr,8000,2.0")
    manifest = tmp_path / "speech.csv"
    manifest.write_text("\n".join(absolute) + "\n")
    done = command(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *QUICK,
        "--max-steps", 1, "--set", f"data.speech='{manifest}'",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert [line for line in done.err.splitlines() if "gone.wav" in line and "left out" in line]


def test_a_run_that_diverges_says_so_and_keeps_sound_weights(command, tiny_config, tmp_path):
    done = command(
        "train", "--config", tiny_config, "--run-dir", tmp_path / "run", *QUICK,
        "--set", "optim.lr=1e30", "--set", "train.max_bad_steps=3",
        "--set", "train.valid_every=100",
    )  # fmt: skip
    assert done.code == 1
    assert done.err.startswith("error: training diverged: 4 steps in a row were not finite")
    assert done.err.count("\n") == 1
    state = checkpoint.load(tmp_path / "run" / checkpoint.NAME)
    assert all(value.isfinite().all() for value in state["model"].values())


def torchrun(options, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "cplxsep", "train"]
    return subprocess.Popen(
        [*command, *map(str, arguments), *QUICK],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_torchrun_runs_the_command_unchanged_on_two_nodes(command, tiny_config, tmp_path):
    """A process on each; they make the step of one process, one model and one log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = f"--rdzv-endpoint=127.0.0.1:{free.getsockname()[1]}"
    node = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", meeting]
    arguments = ["--config", tiny_config, "--max-steps", 1]
    arguments += ["--set", "optim.optimizer=sgd", "--set", "optim.lr=0.1"]
    folder = tmp_path / "both"
    both = [
        torchrun([*node, "--local-addr=127.0.0.1"], *arguments, "--run-dir", folder)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert "".join(out for out, _ in told) == f"{folder / 'model'}\n"
    assert sum(err.count("step 1: valid SI-SDR") for _, err in told) == 1
    assert not [err for _, err in told if "Warning" in err]
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1]
    done = command("train", *arguments, "--run-dir", tmp_path / "one", *QUICK)
    assert done.code == 0, done.err
    one, two = (checkpoint.load(f / checkpoint.NAME)["model"] for f in (tmp_path / "one", folder))
    assert list(one) == list(two)
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-5


@pytest.mark.skipif(sys.platform != "linux", reason="finds the process in /proc")
def test_the_end_of_one_of_two_processes_is_one_line(tiny_config, tmp_path):
    folder = tmp_path / "run"
    run = torchrun(
        ["--standalone", "--nproc-per-node=2"], "--config", tiny_config, "--run-dir", folder,
        *("--set", "train.steps=100000", "--set", "train.valid_every=100000"),
        *("--set", "train.save_every=100000"),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    log = folder / "log.jsonl"
    while not (log.is_file() and log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(second_of(run.pid), signal.SIGKILL)
    out, err = run.communicate(timeout=120)
    assert run.returncode != 0
    assert out == ""
    step = checkpoint.load(folder / checkpoint.NAME)["step"]
    assert step >= 20
    ours = [line for line in err.splitlines() if line.startswith("error: ")]
    assert ours == [f"error: another process ended, at step {step}"]
    assert "Traceback" not in err.partition("error: ")[0]


def second_of(pid):
    """The second process that a torchrun has started."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError("torchrun has no second process")


def test_half_of_what_torchrun_sets_is_told(command, tiny_config, tmp_path, monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = command("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *QUICK)
    assert done.code == 2
    assert done.err == (
        "error: WORLD_SIZE is set but not RANK: start several processes with torchrun, or unset "
        "WORLD_SIZE for one\n"
    )


def test_an_option_without_effect_is_told(command, tiny_config, tmp_path):
    done = command(
        *("train", "--config", tiny_config, "--run-dir", tmp_path / "run", "--check", *QUICK),
        *("--set", "model.network=real", "--set", "model.norm=layer"),
        *("--set", "model.transformations=0", "--set", "model.dropout=0.1"),
    )
    assert done.code == 0, done.err
    assert "no effect in this run: model.extractor.dropout, model.unet.norm" in done.err


def test_losses_of_the_whole_batch_cannot_be_accumulated(command, tiny_config, tmp_path):
    for change, named in (("loss=csim-code", "loss csim-code"), ("pit=batch", "pit batch")):
        done = command(
            *("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *QUICK),
            *("--set", f"train.{change}", "--set", "train.accumulate=2"),
        )
        assert done.code == 2
        assert f"{named} is of the whole batch: set accumulate to 1" in done.err
