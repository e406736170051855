"""Bad input: each file has its line and its entry, all others are done, nothing is half-written.

One command takes all files, as a user's folder would hold them.
"""

import ctypes
import json
import struct
import sys

import numpy as np
import pytest
import soundfile
from rich.console import Console

from cplxsep.cli import common
from cplxsep.engine import one_file, writing
from cplxsep.errors import InputError

GOOD = {
    "silent.wav": 8000,
    "one_sample.wav": 1,
    "eight_bit.wav": 4000,
    "twenty_four_bit.wav": 4000,
    "six_channels.wav": 4000,
    "fast.wav": 19200,
    "quiet.wav": 4000,
    "[bold]odd name.wav": 4000,
    "long.wav": 8000 * 9,
}
BAD = {
    "missing.wav": "does not exist",
    "empty.wav": "empty",
    "truncated.wav": "truncated",
    "truncated.flac": "",
    "text.wav": "not readable audio",
    "no_samples.wav": "no samples",
    "cut_off.au": "no samples",
    "all_nan.wav": "NaN",
    "last_nan.wav": "NaN",
    "infinite.wav": "NaN or infinite",
    "folder": "no audio files",
}


def make(folder):
    rng = np.random.default_rng(0)

    def save(name, samples, channels=1, rate=8000, subtype="FLOAT"):
        audio = 0.1 * rng.standard_normal((samples, channels))
        soundfile.write(folder / name, audio, rate, subtype=subtype)
        return folder / name

    def damage(name, value, position, samples=8000):
        audio = 0.1 * rng.standard_normal(samples).astype(np.float32)
        audio[position] = value
        soundfile.write(folder / name, audio, 8000, subtype="FLOAT")

    soundfile.write(folder / "silent.wav", np.zeros(8000), 8000)
    save("one_sample.wav", 1)
    save("eight_bit.wav", 4000, subtype="PCM_U8")
    save("twenty_four_bit.wav", 4000, subtype="PCM_24")
    save("six_channels.wav", 4000, channels=6)
    save("fast.wav", 19200, rate=192000)
    soundfile.write(folder / "quiet.wav", 1e-9 * rng.standard_normal(4000), 8000, subtype="FLOAT")
    save("[bold]odd name.wav", 4000)
    save("long.wav", 8000 * 9)
    (folder / "empty.wav").write_bytes(b"")
    for name, subtype in (("truncated.wav", "PCM_16"), ("truncated.flac", "PCM_16")):
        path = save(name, 60000, subtype=subtype)
        path.write_bytes(path.read_bytes()[:30000])
    (folder / "text.wav").write_text("this is no audio\n" * 50)
    save("no_samples.wav", 0)
    # A header of 24 bytes that has its audio begin behind the end: it ended the command.
    (folder / "cut_off.au").write_bytes(struct.pack(">4s5I", b".snd", 32, 0, 3, 8000, 1))
    damage("all_nan.wav", np.nan, slice(None))
    damage("last_nan.wav", np.nan, -5, samples=8000 * 30)
    damage("infinite.wav", np.inf, 100)
    (folder / "folder").mkdir()


@pytest.fixture(scope="module")
def done(tmp_path_factory, model, run_cli):
    """The command's result, its report by input, and its folder."""
    folder = tmp_path_factory.mktemp("bad")
    make(folder)
    result = run_cli("separate", *BAD, *GOOD, "-m", model, "--json", cwd=folder)
    return result, {entry["input"]: entry for entry in json.loads(result.stdout)["files"]}, folder


def test_exit_code_and_order(done):
    result, entries, _ = done
    assert result.returncode == 1
    assert list(entries) == [*BAD, *GOOD]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_one_clear_line_and_an_entry(done, name):
    result, entries, folder = done
    lines = [line for line in result.stderr.splitlines() if name in line]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert BAD[name] in lines[0]
    assert entries[name]["status"] == "failed"
    assert entries[name]["error"] in lines[0]
    assert not list((folder / "separated").glob(f"{name.partition('.')[0]}_s*"))


@pytest.mark.parametrize("name", GOOD)
def test_unusual_input_is_done(done, name):
    result, entries, folder = done
    assert entries[name]["status"] == "done"
    assert f"error: {name}" not in result.stderr
    for output in entries[name]["outputs"]:
        audio, rate = soundfile.read(folder / output)
        assert len(audio) == GOOD[name]
        assert rate == soundfile.info(folder / name).samplerate
        assert np.isfinite(audio).all()
        assert name != "silent.wav" or not audio.any()


def test_nothing_half_written_is_left(done):
    _, entries, folder = done
    written = {str(path.relative_to(folder)) for path in (folder / "separated").rglob("*")}
    assert written == {output for entry in entries.values() for output in entry["outputs"]}


def test_output_folder_that_cannot_be_made(command, model, tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(800), 8000)
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "out", "/proc/out"):
        done = command("separate", tmp_path / "a.wav", "-m", model, "-o", out)
        assert done.code == 1
        assert "cannot make the folder" in done.err
        assert len(done.err.splitlines()) == 1


OUTPUTS = ("a_s1.wav", "a_s2.wav", "a_plot.png")


def outputs_with(folder, content="old"):
    """The folder, holding all outputs of a.wav as they were before."""
    folder.mkdir()
    for name in OUTPUTS:
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_that_is_a_folder(command, model, tmp_path, name):
    soundfile.write(tmp_path / "a.wav", np.ones(800), 8000)
    out = outputs_with(tmp_path / "out")
    (out / name).unlink()
    (out / name).mkdir()
    done = command("separate", tmp_path / "a.wav", "-m", model, "-o", out, "--plot")
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    assert name in done.err
    assert {path.name for path in out.iterdir()} == set(OUTPUTS)
    assert {path.read_text() for path in out.iterdir() if path.is_file()} == {"old"}


def test_a_failed_plot_leaves_the_old_sources(command, model, tmp_path, monkeypatch):
    def fail(*_):
        raise InputError("cannot write the plot")

    monkeypatch.setattr(one_file, "plot", fail)
    soundfile.write(tmp_path / "a.wav", np.ones(800), 8000)
    out = outputs_with(tmp_path / "out")
    done = command("separate", tmp_path / "a.wav", "-m", model, "-o", out, "--plot", "--json")
    (entry,) = json.loads(done.out)["files"]
    assert (entry["status"], entry["outputs"]) == ("failed", [])
    assert {path.name for path in out.iterdir()} == set(OUTPUTS)
    assert {path.read_text() for path in out.iterdir()} == {"old"}


def test_ogg_at_rates_that_crash_its_encoder(command, model, tmp_path):
    for name, rate in (("a", 384000), ("b", 192000)):
        soundfile.write(tmp_path / f"{name}.wav", np.full(rate // 10, 0.1), rate)
    out = tmp_path / "out"
    inputs = (tmp_path / "a.wav", tmp_path / "b.wav")
    done = command("separate", *inputs, "-m", model, "-o", out, "--format", "ogg")
    assert done.code == 1
    assert "200000 Hz" in done.err
    assert done.out.split() == [str(out / "b_s1.ogg"), str(out / "b_s2.ogg")]
    assert command("separate", inputs[0], "-m", model, "-o", out, "--rate", "model").code == 0


def test_results_stay_on_stdout_after_a_failure_on_a_terminal(
    command, model, tmp_path, monkeypatch
):
    """A progress bar that stays open sends what is printed to the terminal's stderr."""
    put = writing._put
    fails = iter([OSError("the disk is full")])

    def full_once(*arguments):
        for error in fails:
            raise error
        put(*arguments)

    monkeypatch.setattr(writing, "_put", full_once)
    monkeypatch.setattr(common, "stderr", Console(stderr=True, force_terminal=True, soft_wrap=True))
    for name in ("a", "b"):
        soundfile.write(tmp_path / f"{name}.wav", np.full(8000 * 20, 0.1), 8000)
    inputs = (tmp_path / "a.wav", tmp_path / "b.wav")
    done = command("separate", *inputs, "-m", model, "-o", tmp_path / "out")
    assert done.code == 1
    assert "the disk is full" in done.err
    assert done.out.split() == [str(tmp_path / f"out/b_s{index}.wav") for index in (1, 2)]


@pytest.mark.skipif(sys.platform != "linux", reason="no capabilities")
def test_folders_that_must_not_be_written(model, tmp_path, run_cli):
    libc = ctypes.CDLL(None)

    def obey():
        libc.prctl(24, 1)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE: root, too, is bound by permissions

    soundfile.write(tmp_path / "a.wav", np.full(800, 0.1), 8000)
    soundfile.write(tmp_path / "b.wav", np.full(800, 0.1), 8000)
    (tmp_path / "out").mkdir(mode=0o555)
    done = run_cli(
        "separate", "a.wav", "b.wav", "-m", model, "-o", "out", cwd=tmp_path, preexec_fn=obey
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(lines) == 2
    for line, name in zip(lines, ("a.wav", "b.wav"), strict=True):
        assert line.startswith(f"error: {name}: cannot write")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_full_disk(model, tmp_path, run_cli):
    """A limit on the size of files stands for a full disk: the small file still fits."""
    import resource

    rng = np.random.default_rng(0)
    for name, seconds in (("a_long", 60), ("b_short", 1)):
        audio = 0.1 * rng.standard_normal(8000 * seconds)
        soundfile.write(tmp_path / f"{name}.wav", audio, 8000, subtype="PCM_16")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    for subtype in ("float", "pcm16"):
        arguments = ("separate", "a_long.wav", "b_short.wav", "-m", model, "--subtype", subtype)
        done = run_cli(*arguments, "-o", subtype, cwd=tmp_path, preexec_fn=limit)
        assert done.returncode == 1, done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
        assert "a_long" in line
        assert "cannot write" in line
        assert done.stdout.split() == [f"{subtype}/b_short_s1.wav", f"{subtype}/b_short_s2.wav"]
        assert sorted(path.name for path in (tmp_path / subtype).iterdir()) == [
            "b_short_s1.wav",
            "b_short_s2.wav",
        ]
