"""Where outputs go: names that are too long, places that cannot be written, work in place."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from standins import tiny_model
from synthetic import endless

from cplxsep.audio import atomic


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path, samples=800):
    path.parent.mkdir(parents=True, exist_ok=True)
    audio = 0.1 * np.random.default_rng(0).standard_normal(samples)
    soundfile.write(path, audio, 8000)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("options", [[], ["--plot"], ["--format", "flac"]])
def test_names_too_long_for_outputs_fail_alone(folder, model, command, options):
    long = "x" * 250 + ".wav"
    save(folder / "in/a.wav")
    save(folder / "in" / long)
    save(folder / "in/z.wav")
    done = command("separate", "in", "-m", model, "--report", "r.json", *options)
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: in/{long}: cannot write ")
    assert line.endswith(": File name too long")
    assert {name.split("_")[0] for name in files(folder / "separated")} == {"a", "z"}
    report = json.loads((folder / "r.json").read_text())
    assert (report["error"], report["done"], report["failed"]) == (None, 2, 1)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["separate", "a.wav", "-m", "MODEL", "-o", "LONG"], 1),
        (["separate", "a.wav", "-m", "MODEL", "--report", "LONG"], 1),
        (["separate", "a.wav", "-m", "LONG"], 3),
        (["separate", "a.wav", "-m", "~nobody-of-this-name/x"], 3),
        (["separate", "LONG", "-m", "MODEL"], 1),
        (["enhance", "a.wav", "-m", "LONG"], 3),
        (["eval", "--ref", "LONG", "--est", "LONG"], 1),
        (["eval", "--ref", "r", "--est", "r", "--html", "LONG"], 1),
        (["eval", "--model", "MODEL", "--data", "LONG"], 1),
        (["train", "--config", "LONG"], 2),
        (["models", "info", "LONG"], 3),
    ],
)
def test_option_values_that_no_file_can_have(folder, model, command, arguments, code):
    save(folder / "a.wav")
    meant = {"LONG": "x" * 300, "MODEL": model}
    done = command(*(meant.get(argument, argument) for argument in arguments))
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert done.code == code
    assert done.out == ""
    assert files(folder) == ["a.wav"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["separate", "a.wav", "-o", "-"],
        ["enhance", "a.wav", "-o", "-"],
        ["separate", "a.wav", "--report", "-"],
        ["eval", "--ref", "r", "--est", "e", "--csv", "-"],
        ["prepare", "mix", "--speech", "s", "--count", "1", "-o", "-"],
        ["train", "--config", "c", "--run-dir", "-"],
    ],
)
def test_a_dash_is_no_place_for_outputs(folder, command, arguments):
    save(folder / "a.wav")
    done = command(*arguments)
    assert done.code == 2
    (line,) = done.err.splitlines()
    assert line.endswith(" -: name a place on disk, not standard output")
    assert files(folder) == ["a.wav"]


def test_a_report_that_cannot_be_written_is_told_before_the_work(folder, model, command):
    save(folder / "a.wav")
    (folder / "file").write_text("")
    for place in ("file/r.json", "/proc/r.json"):
        done = command("separate", "a.wav", "-m", model, "--report", place)
        assert done.code == 1
        (line,) = done.err.splitlines()
        assert "cannot " in line
        assert not (folder / "separated").exists()


@pytest.mark.parametrize(("report", "out"), [("new", "new"), ("new", "new/out")])
def test_a_report_where_a_folder_will_be_is_told_before_the_work(
    folder, model, command, report, out
):
    save(folder / "a.wav")
    done = command("separate", "a.wav", "-m", model, "--report", report, "-o", out)
    assert done.code == 2
    assert done.err.startswith(f"error: --report {report}: {out}/a_s1.wav needs a folder there")
    assert files(folder) == ["a.wav"]


def test_a_report_into_a_pipe(folder, model, command):
    save(folder / "a.wav")
    os.mkfifo(folder / "pipe")
    with subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE) as reader:
        assert command("separate", "a.wav", "-m", model, "--report", "pipe").code == 0
        assert (folder / "pipe").is_fifo()
        assert json.loads(reader.communicate(timeout=60)[0])["done"] == 1


@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_a_page_that_cannot_be_written_is_told_before_the_work(folder, command, option):
    for side in ("ref", "est"):
        for talker in ("s1", "s2"):
            save(folder / side / talker / "a.wav")
    done = command("eval", "--ref", "ref", "--est", "est", option, "/proc/page")
    assert (done.code, done.out) == (1, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: cannot write /proc/page: ")


def test_a_folder_that_grows_is_worked_on_in_place(folder, model, command):
    save(folder / "in/a.wav")
    arguments = ("separate", "in", "-o", "in", "-m", model)
    assert command(*arguments).out.split() == ["in/a_s1.wav", "in/a_s2.wav"]
    save(folder / "in/b.wav")
    again = command(*arguments)
    assert again.code == 2
    assert "--exist skip" in again.err
    done = command(*arguments, "--exist", "skip")
    assert done.code == 0
    assert done.out.split() == ["in/b_s1.wav", "in/b_s2.wav"]
    assert done.err.splitlines() == [
        "2 files are results of an earlier run, no inputs",
        "in/a.wav: outputs exist, skipped",
    ]
    assert len(files(folder / "in")) == 6
    # Not a result of a.wav: of those only one is there.
    (folder / "in/a_s2.wav").unlink()
    before = (folder / "in/a_s1.wav").read_bytes()
    done = command(*arguments, "--exist", "skip")
    assert done.code == 2
    assert done.err.endswith("error: in/a_s1.wav would replace an input: choose another --out\n")
    assert (folder / "in/a_s1.wav").read_bytes() == before


def test_a_file_is_no_result_of_itself(folder, command, tmp_path_factory):
    """It was left out without a word, as if all were done."""
    denoiser = tiny_model(tmp_path_factory.mktemp("models") / "d", sources=1, task="enhancement")
    save(folder / "in/a.wav")
    arguments = ("enhance", "in", "-o", "in", "-m", denoiser, "--name", "{stem}.{ext}")
    done = command(*arguments, "--exist", "skip")
    assert done.code == 2
    assert done.err.startswith("error: in/a.wav would replace an input: choose another --out")


@pytest.mark.parametrize(
    ("inputs", "name", "advice"),
    [
        (["in/a.flac", "in/a.wav"], "{stem}_{source}.{ext}", "{input_ext}"),
        (["in/a.flac", "in/a.wav"], "{parent}/{stem}_{source}.{ext}", "{input_ext}"),
        (["in/a.wav", "x/a.wav"], "{stem}_{source}.{ext}", "{parent}"),
        (["in/a.wav", "y/in/a.wav"], "{parent}_{stem}_{source}.{ext}", None),
    ],
)
def test_advice_on_a_clash_of_names_works(folder, model, command, inputs, name, advice):
    for path in inputs:
        save(folder / path)
    arguments = ("separate", *inputs, "-m", model, "--dry-run")
    done = command(*arguments, "--name", name)
    assert done.code == 2
    put = f"put {advice} into --name, or " if advice else ""
    assert done.err == (
        f"error: {inputs[0]} and {inputs[1]} would both write {done.err.split()[7]} "
        f"{put}run them apart, each with its own --out\n"
    )
    if advice:
        done = command(*arguments, "--name", f"{advice}_{name}")
        assert done.code == 0
        assert len(set(done.out.split())) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on files")
@pytest.mark.parametrize("options", [[], ["--format", "flac"]])
def test_the_next_run_removes_what_a_killed_one_left(folder, model, command, options):
    save(folder / "a.wav")
    endless(folder / "long.wav")
    arguments = [sys.executable, "-P", "-m", "cplxsep", "separate", "long.wav", "-m", str(model)]
    process = subprocess.Popen([*arguments, *options], cwd=folder)
    deadline = time.monotonic() + 60
    while not list(folder.glob("separated/.*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    # What a process that lives has open stays.
    assert command("separate", "a.wav", "-m", model).code == 0
    assert list(folder.glob("separated/.*"))
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = list(folder.glob("separated/.*"))
    assert left
    atomic.sweep.cache_clear()  # as in a new process
    assert command("separate", "a.wav", "-m", model).code == 0
    assert files(folder / "separated") == ["a_s1.wav", "a_s2.wav"]


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_linked_folders_are_searched_once_each(folder, model, command):
    for name in ("in/a.wav", "in/x/b.wav", "far/c.wav", "far/deep/d.wav", "out/e_s1.wav"):
        save(folder / name)
    links = {"in/far": "far", "in/more": "far/deep", "in/y": "in/x", "in/x/up": "in"}
    links |= {"far/back": "far", "far/home": "in", "in/top": ".", "in/done": "out"}
    for link, target in links.items():
        (folder / link).symlink_to(folder / target)
    done = command("separate", "in", "-m", model, "-o", "out", "--dry-run", "--json")
    found = [entry["input"] for entry in json.loads(done.out)["files"]]
    assert found == ["in/a.wav", "in/far/c.wav", "in/more/d.wav", "in/x/b.wav"]


@pytest.mark.parametrize("closed", ["in/x", "in"])
def test_a_folder_that_cannot_be_read_fails_alone(folder, model, command, close, closed):
    save(folder / "in/a.wav")
    save(folder / "in/x/b.wav")
    close(closed)
    done = command("separate", "in", "-m", model, "--dry-run")
    assert done.code == 1
    assert done.err == f"error: cannot read the folder {closed}: Permission denied\n"
    assert ("separated/a_s1.wav" in done.out) == (closed == "in/x")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{stem:>9999999999}_{source}", "use {stem}, "),
        ("{stem.__class__}_{source}", "use {stem}, "),
        ("{stem!r}_{source}", "use {stem}, "),
        ("{stem}_{source}.flac", "say --format flac, or .{ext}"),
        ("{stem}_{source}.M4A", "say .{ext}"),
    ],
)
def test_names_of_outputs_that_are_none(folder, model, command, template, said):
    save(folder / "a.wav")
    done = command("separate", "a.wav", "-m", model, "--name", template, "--dry-run")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert done.err.startswith(f"error: name '{template}'")
    assert said in done.err
