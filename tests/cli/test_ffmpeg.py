"""Phone recordings and videos: through ffmpeg where it is installed; a stand-in plays it here."""

import os
import sys

import numpy as np
import pytest
import soundfile
from synthetic import babble

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script")
RATE = 8000
# What it "decodes" are WAV files behind a few bytes; one with "broken" in it fails half-way.
BOX = b"\0\0\0\x20ftypM4A "
SCRIPT = f"""#!{sys.executable}
import sys
arguments = sys.argv[1:]
assert arguments[-1] == "-" and "-nostdin" in arguments and sys.stdin.read() == ""
name = arguments[arguments.index("-i") + 1]
assert name.startswith("file:")
data = open(name[5:], "rb").read().removeprefix({BOX!r})
if b"broken" in data:
    sys.stdout.buffer.write(data[:20000])
    sys.stdout.flush()
    print("[mov] a warning\\n" + name + ": Invalid data found", file=sys.stderr)
    sys.exit(1)
if not data.startswith(b"RIFF"):
    print("Output file does not contain any stream", file=sys.stderr)
    sys.exit(1)
at = data.index(b"data")
sys.stdout.buffer.write(data[: at + 4] + b"\\xff" * 4 + data[at + 8 :])
"""
M4A = BOX + bytes(500)


@pytest.fixture
def ffmpeg(tmp_path, monkeypatch):
    """Installs the stand-in."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "ffmpeg"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def no_ffmpeg(tmp_path, monkeypatch):
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def save(path, seconds=3.0, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, babble(seconds, RATE, seed), RATE, format="WAV")
    if path.suffix != ".wav":
        path.write_bytes(BOX + path.read_bytes())
    return path


@pytest.mark.usefixtures("ffmpeg")
def test_a_phone_recording(command, tmp_path, model):
    save(tmp_path / "-in.m4a")
    save(tmp_path / "same.wav")
    for name in ("-in.m4a", "same.wav"):
        run = ("separate", tmp_path / name, "-m", model, "-o", tmp_path / "out")
        assert command(*run).code == 0
    ours, theirs = (
        soundfile.read(tmp_path / "out" / f"{name}_s1.wav")[0] for name in ("-in", "same")
    )
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.usefixtures("ffmpeg")
def test_a_folder_with_videos(command, tmp_path, model):
    save(tmp_path / "in" / "a.wav")
    save(tmp_path / "in" / "b.MP4")
    (tmp_path / "in" / "silent.mov").write_bytes(M4A)
    save(tmp_path / "in" / "broken.aac", 10.0)
    with (tmp_path / "in" / "broken.aac").open("ab") as file:
        file.write(b"broken")
    done = command("separate", tmp_path / "in", "-m", model, "-o", tmp_path / "out")
    assert done.code == 1
    errors = [line for line in done.err.splitlines() if line.startswith("error")]
    assert len(errors) == 2
    assert "broken.aac is not readable audio: ffmpeg says: file:" in errors[0]
    assert "Invalid data found" in errors[0]
    assert "silent.mov is not readable audio: ffmpeg says: Output file does not" in errors[1]
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["a_s1.wav", "a_s2.wav", "b_s1.wav", "b_s2.wav"]


@pytest.mark.usefixtures("ffmpeg")
@pytest.mark.parametrize(
    ("rate", "value", "says"), [(RATE, np.nan, "NaN"), (500, 0.1, "sample rate of 500 Hz")]
)
def test_decoded_audio_that_cannot_be_used(command, tmp_path, model, rate, value, says):
    path = tmp_path / "a.m4a"
    soundfile.write(path, np.full(4000, value), rate, format="WAV", subtype="FLOAT")
    path.write_bytes(BOX + path.read_bytes())
    done = command("separate", path, "-m", model, "-o", tmp_path / "out")
    (line,) = done.err.splitlines()
    assert (done.code, says in line, "ffmpeg" in line) == (1, True, False)


@pytest.mark.usefixtures("ffmpeg")
def test_mixtures_of_phone_recordings(command, tmp_path):
    for talker in range(3):
        save(tmp_path / "speech" / f"{talker}" / "a.m4a", 1.0, talker)
    done = command(
        *("prepare", "mix", "--speech", tmp_path / "speech", "-o", tmp_path / "out"),
        *("--count", 2, "--split", "train"),
    )
    assert done.code == 0, done.err


@pytest.mark.usefixtures("no_ffmpeg")
def test_without_ffmpeg(command, tmp_path, model):
    (tmp_path / "a.m4a").write_bytes(M4A)
    done = command("separate", tmp_path / "a.m4a", "-m", model, "-o", tmp_path / "out")
    assert done.code == 1
    (line,) = done.err.splitlines()
    assert "needs ffmpeg, which is not installed here" in line
    assert line.endswith("ffmpeg -i a.m4a -f wav - | cplxsep separate -")


@pytest.mark.usefixtures("no_ffmpeg")
def test_folders_without_ffmpeg(command, tmp_path, model):
    for talker in range(3):
        save(tmp_path / "in" / f"{talker}" / "a.wav", 1.0, talker)
        (tmp_path / "in" / f"{talker}" / "b.m4a").write_bytes(M4A)
    (tmp_path / "in" / "c.mkv").write_bytes(M4A)
    (tmp_path / "in" / "notes.txt").write_text("no audio")
    told = f"note: {tmp_path / 'in'}: left out 3 m4a, 1 mkv: install ffmpeg to read them"
    done = command("separate", tmp_path / "in", "-m", model, "-o", tmp_path / "out")
    assert (done.code, done.err.splitlines()) == (0, [told])
    done = command(
        *("prepare", "mix", "--speech", tmp_path / "in", "-o", tmp_path / "set"),
        *("--count", 2, "--split", "train"),
    )
    assert done.code == 0
    assert told in done.err.splitlines()


@pytest.mark.usefixtures("no_ffmpeg")
def test_a_wav_by_another_name_needs_no_ffmpeg(command, tmp_path, model):
    save(tmp_path / "a.wav").rename(tmp_path / "a.m4a")
    done = command("separate", tmp_path / "a.m4a", "-m", model, "-o", tmp_path / "out")
    assert (done.code, done.err) == (0, "")
