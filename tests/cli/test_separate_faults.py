"""Real faults while a command runs: one line, the right exit code, every other file done."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
from synthetic import endless

from cplxsep.engine import work

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, pipes and mounts")
RATE = 8000


def save(path, seconds, rate=RATE):
    audio = 0.1 * np.random.default_rng(0).standard_normal(round(rate * seconds))
    soundfile.write(path, audio, rate, subtype="PCM_16")
    return path


@contextmanager
def started(folder, model, *arguments, **options):
    """`cplxsep separate ARGUMENTS` under way in a folder."""
    command = [sys.executable, "-P", "-m", "cplxsep", "separate", *arguments, "-m", str(model)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=folder, text=True, **{**pipes, **options})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def under_way(process, folder):
    """Wait until it writes."""
    while process.poll() is None and not list(folder.glob("separated/.*")):
        time.sleep(0.01)


def left(folder):
    return sorted(path.name for path in folder.glob("separated/*"))


DONE = ["b_s1.wav", "b_s2.wav"]


def test_file_that_is_cut_short_while_it_is_read(model, tmp_path):
    endless(tmp_path / "a.wav")
    save(tmp_path / "b.wav", 1)
    with started(tmp_path, model, "a.wav", "b.wav") as process:
        under_way(process, tmp_path)
        os.truncate(tmp_path / "a.wav", 20000)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert line.startswith("error: a.wav is truncated")
    assert out.split() == [f"separated/{name}" for name in DONE]
    assert left(tmp_path) == DONE


def of_half_the_rate(path):
    save(path, 1, RATE // 2)


def of_two_channels(path):
    soundfile.write(path, np.full((RATE, 2), 0.1), RATE)


CHANGED = "c.wav changed while this ran: run it again"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (os.unlink, "c.wav does not exist"),
        (of_half_the_rate, CHANGED),
        (of_two_channels, CHANGED),
    ],
)
def test_file_that_changes_before_its_turn(model, tmp_path, monkeypatch, command, change, told):
    monkeypatch.chdir(tmp_path)
    for name in ("b.wav", "c.wav"):
        save(tmp_path / name, 1)
    separate = work.separate_file

    def meanwhile(separator, job, *given, **options):
        if job.label == "b.wav":
            change(tmp_path / "c.wav")
        return separate(separator, job, *given, **options)

    monkeypatch.setattr(work, "separate_file", meanwhile)
    done = command("separate", "b.wav", "c.wav", "-m", model)
    assert done.code == 1
    assert done.err.splitlines() == [f"error: {told}"]
    assert left(tmp_path) == DONE


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB."""
    folder = tmp_path / "separated"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("options", [[], ["--format", "flac"]])
def test_disk_that_fills_up(model, tmp_path, small_disk, options):
    save(tmp_path / "a.wav", 60)
    save(tmp_path / "b.wav", 1)
    with started(tmp_path, model, "a.wav", "b.wav", *options) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("error")]
    assert line.startswith("error: a.wav: cannot write separated/a_s")
    assert line.endswith(": the disk of separated is full (No space left on device)")
    assert len(out.split()) == 2
    assert {path.stem for path in small_disk.iterdir()} == {"b_s1", "b_s2"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_finished_files_only(model, tmp_path, number):
    save(tmp_path / "b.wav", 1)
    endless(tmp_path / "c.wav")
    with started(tmp_path, model, "b.wav", "c.wav", "--report", "r.json") as process:
        out = process.stdout.readline() + process.stdout.readline()
        under_way(process, tmp_path)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines() == ["interrupted"]
    assert left(tmp_path) == DONE
    assert out.split() == [f"separated/{name}" for name in DONE]
    first, second = json.loads((tmp_path / "r.json").read_text())["files"]
    assert (first["status"], second["status"]) == ("done", "failed")
    assert second["error"] == "c.wav: not tried: interrupted"


def streamed(folder, seconds, length=None):
    """Bytes of a WAV as a program that streams writes it."""
    data = bytearray(save(folder / "s.wav", seconds).read_bytes())
    if length is not None:
        at = data.index(b"data")
        data[at + 4 : at + 8] = length.to_bytes(4, "little")
    return bytes(data)


def test_pipe_is_separated_while_it_comes(model, tmp_path):
    data = streamed(tmp_path, 120, 0xFFFFFFFF)
    with started(tmp_path, model, "-", stdin=subprocess.PIPE) as process:
        raw = process.stdin.buffer
        raw.write(data[: len(data) // 2])
        raw.flush()
        drafts = []
        while process.poll() is None and not any(path.stat().st_size > 100_000 for path in drafts):
            drafts = list(tmp_path.glob("separated/.*.tmp"))
            time.sleep(0.01)
        assert process.poll() is None, process.stderr.read()
        raw.write(data[len(data) // 2 :])
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert left(tmp_path) == ["stdin_s1.wav", "stdin_s2.wav"]
    info = soundfile.info(tmp_path / "separated/stdin_s1.wav")
    assert (info.frames, info.format) == (120 * RATE, "WAV")
    # The same as from the file.
    with started(tmp_path, model, "s.wav") as process:
        process.communicate(timeout=60)
    from_file = soundfile.read(tmp_path / "separated/s_s2.wav")[0]
    assert np.array_equal(soundfile.read(tmp_path / "separated/stdin_s2.wav")[0], from_file)


def test_pipe_whose_writer_is_killed(model, tmp_path):
    data = streamed(tmp_path, 60)
    save(tmp_path / "b.wav", 1)
    (tmp_path / "half").write_bytes(data[: len(data) // 2])
    feed = subprocess.Popen(["sh", "-c", "cat half; kill -9 $$"], cwd=tmp_path, stdout=-1)
    with started(tmp_path, model, "-", "b.wav", stdin=feed.stdout) as process:
        feed.stdout.close()
        _, errors = process.communicate(timeout=60)
    assert feed.wait() == -signal.SIGKILL
    assert process.returncode == 1
    assert errors.splitlines() == ["error: <stdin> broke off after 30.0 s of audio"]
    assert left(tmp_path) == DONE


def test_interrupt_while_a_pipe_stalls(model, tmp_path):
    with started(tmp_path, model, "-", stdin=subprocess.PIPE) as process:
        process.stdin.buffer.write(streamed(tmp_path, 20, 0xFFFFFFFF))
        process.stdin.flush()
        under_way(process, tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read().splitlines() == ["interrupted"]
    assert left(tmp_path) == []
    assert not list(tmp_path.glob("separated/.*"))


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_a_reader_that_has_seen_enough(model, tmp_path, closed):
    """`... | head -1` and `... 2>&1 | head -1`: all files are done, nothing is an error."""
    for name in ("a", "b"):
        save(tmp_path / f"{name}.wav", 1, 11025)
    reader, writer = os.pipe()
    os.close(reader)
    with started(tmp_path, model, "a.wav", "b.wav", **{closed: writer}) as process:
        os.close(writer)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors is None or errors.startswith("note: ")
    assert errors is None or errors.count("\n") == 1
    assert out is None or len(out.split()) == 4
    assert left(tmp_path) == ["a_s1.wav", "a_s2.wav", *DONE]


@pytest.mark.parametrize("arguments", ["models list", "train --list"])
def test_a_list_that_is_cut_short(arguments):
    shell = f'"$0" -P -m cplxsep {arguments} | head -0; exit ${{PIPESTATUS[0]}}'
    command = ["bash", "-c", shell, sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


STARVED = """
import resource, sys
from cplxsep.cli import app, common
from cplxsep.engine.separator import Separator

Separator.load(sys.argv[sys.argv.index("-m") + 1], device="cpu")
# Enough for a second of audio and what threads reserve, far too little for 900 s at once.
[size] = [line for line in open("/proc/self/status") if line.startswith("VmSize")]
limit = (int(size.split()[1]) << 10) + (700 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(common.run(app.app))
"""


def test_memory_that_does_not_suffice(model, tmp_path):
    save(tmp_path / "b.wav", 1)
    save(tmp_path / "c.wav", 900)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            STARVED,
            "separate",
            "b.wav",
            "c.wav",
            "-m",
            model,
            "--chunk",
            "900",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 4, done.stderr
    (line,) = done.stderr.splitlines()
    assert "out of memory" in line
    assert left(tmp_path) == DONE
    assert not list(tmp_path.glob("separated/.*"))


def test_pipe_that_does_not_block(model, tmp_path):
    data = streamed(tmp_path, 10, 0xFFFFFFFF)
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    with started(tmp_path, model, "-", stdin=ours) as process, open(theirs, "wb", 0) as feed:
        os.close(ours)
        feed.write(data[:50000])
        under_way(process, tmp_path)
        time.sleep(0.3)
        feed.write(data[50000:])
        feed.close()
        assert process.wait(60) == 0, process.stderr.read()
    assert soundfile.info(tmp_path / "separated/stdin_s1.wav").frames == 10 * RATE


def test_standard_streams_that_are_closed(model, tmp_path):
    save(tmp_path / "b.wav", 1)
    shell = 'exec "$0" -P -m cplxsep separate - b.wav -m "$1" <&- >&-'
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, model],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: <stdin> is closed: pipe an audio file into it",
        "error: cannot write to standard output: it is closed",
    ]
    assert left(tmp_path) == DONE


def test_standard_error_on_a_full_disk(model, tmp_path):
    save(tmp_path / "b.wav", 1)
    with open("/dev/full", "w") as full:
        arguments = ("nothing.wav", "b.wav", "--report", "r.json")
        with started(tmp_path, model, *arguments, stderr=full) as process:
            out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out.split() == [f"separated/{name}" for name in DONE]
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["error"], report["done"], report["failed"]) == (None, 1, 1)
