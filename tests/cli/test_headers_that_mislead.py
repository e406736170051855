"""Recordings as users have them, whose headers say something else than is there."""

import io
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from synthetic import babble

RATE = 8000


@pytest.fixture
def wav(tmp_path):
    """Bytes of a WAV of 3 s, and where the size of its audio stands."""
    audio = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(tmp_path / "good.wav", audio, RATE)
    data = (tmp_path / "good.wav").read_bytes()
    (tmp_path / "good.wav").unlink()
    return data, data.index(b"data") + 4


def changed(data, at, value, more=b""):
    return data[:at] + struct.pack("<I", value) + data[at + 4 :] + more


def separate(command, monkeypatch, tmp_path, model, data, *, piped=False):
    """The result of separating a file of these bytes, or what comes through a pipe."""
    path = tmp_path / "a.wav"
    if piped:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    else:
        path.write_bytes(data)
    out = tmp_path / "out"
    result = command("separate", "-" if piped else path, "-m", model, "-o", out)
    written = [soundfile.info(file).duration for file in sorted(out.glob("*"))]
    return result, written


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("riff", ["right", 0])
def test_a_recorder_that_crashed(command, monkeypatch, tmp_path, model, wav, riff, piped):
    data, at = wav
    data = changed(data, at, 0)
    if riff == 0:
        data = changed(data, 4, 0)
    result, written = separate(command, monkeypatch, tmp_path, model, data, piped=piped)
    assert result.code == 0
    assert written == [3.0, 3.0]
    notes = [line for line in result.err.splitlines() if "its header gives no length" in line]
    assert len(notes) == 1
    assert notes[0].startswith("note: ")


@pytest.mark.parametrize("piped", [False, True])
def test_a_wav_that_has_no_audio_but_a_title(command, monkeypatch, tmp_path, model, wav, piped):
    data, at = wav
    data = changed(data, at, 0)[: at + 4] + b"LIST\x10\0\0\0INFOINAM\x04\0\0\0abc\0"
    result, written = separate(command, monkeypatch, tmp_path, model, data, piped=piped)
    assert result.code == 1
    assert "holds no samples" in result.err
    assert written == []


@pytest.mark.parametrize("piped", [False, True])
def test_a_header_that_announces_too_little(command, monkeypatch, tmp_path, model, wav, piped):
    data, at = wav
    data = changed(data, at, 2 * RATE)
    result, written = separate(command, monkeypatch, tmp_path, model, data, piped=piped)
    assert (result.code, written) == (0, [1.0, 1.0])
    what = "what is behind them is" if piped else f"{4 * RATE} bytes behind them are"
    assert f"its header announces 1.0 s of audio; {what} not read" in result.err


@pytest.mark.parametrize("piped", [False, True])
def test_a_header_that_announces_too_much(command, monkeypatch, tmp_path, model, wav, piped):
    data, at = wav
    data = changed(data, at, 20 * RATE)
    result, written = separate(command, monkeypatch, tmp_path, model, data, piped=piped)
    assert (result.code, written) == (1, [])
    assert ("broke off" if piped else "truncated") in result.err


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize(
    "tail", [b"", bytes(5000), b"ID3" + b"x" * 5000, b"LIST\x10\0\0\0INFOINAM\x04\0\0\0abc\0", b"x"]
)
def test_what_is_known_behind_the_audio_is_not_told(
    command, monkeypatch, tmp_path, model, wav, tail, piped
):
    data = wav[0] + tail
    result, written = separate(command, monkeypatch, tmp_path, model, data, piped=piped)
    assert (result.code, written) == (0, [3.0, 3.0])
    assert "note" not in result.err


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("rate", [0, 1, 999, 1_000_001, 0x7FFFFFFF, 0xFFFFFFFF])
def test_rates_that_no_audio_has(command, monkeypatch, tmp_path, model, wav, rate, piped):
    data = changed(wav[0], 24, rate)
    result, written = separate(command, monkeypatch, tmp_path, model, data, piped=piped)
    assert (result.code, written) == (1, [])
    assert result.err.count("\n") == 1
    assert "rate" in result.err
    assert "Internal" not in result.err


@pytest.mark.parametrize("piped", [False, True])
def test_two_pieces_of_audio_in_one_header(command, monkeypatch, tmp_path, model, wav, piped):
    data, at = wav
    data = changed(data + data[at - 4 :], 4, len(data) + len(data) - at - 4)
    result, written = separate(command, monkeypatch, tmp_path, model, data, piped=piped)
    assert (result.code, written) == (1, [])
    assert ("another recording follows" if piped else "announces two pieces") in result.err


def test_billions_of_samples_in_a_small_file(command, tmp_path, model):
    for talker in "ab":
        (tmp_path / "speech" / talker).mkdir(parents=True)
        path = tmp_path / "speech" / talker / "a.flac"
        soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(3 * RATE), RATE)
        data = bytearray(path.read_bytes())
        data[21] |= 0x0F  # the highest of the 36 bits that tell the number of samples
        path.write_bytes(data)
    for args in (
        ("separate", path, "-m", model, "-o", tmp_path / "out"),
        ("prepare", "mix", "--speech", tmp_path / "speech", "-o", tmp_path / "set", "--count", 2),
    ):
        result = command(*args)
        assert result.code == 1
        assert "truncated or its header wrong" in result.err
        assert "Traceback" not in result.err


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors")
def test_the_mp3_decoder_is_not_heard(tmp_path, model):
    good, bad = tmp_path / "good.mp3", tmp_path / "bad.mp3"
    soundfile.write(good, 0.1 * np.random.default_rng(0).standard_normal(6 * RATE), RATE)
    data = bytearray(good.read_bytes())
    at = [place for place in range(len(data)) if data[place : place + 2] == data[:2]]
    for frame in at[5:15]:
        data[frame + 4 : frame + 20] = b"\xff\x7f" * 8
    bad.write_bytes(data)
    with good.open("ab") as file:
        file.write(b"APETAGEX" + bytes(range(256)) * 20)  # of which the decoder complains, too
    args = ["separate", good, bad, "-m", model, "-o", "out"]
    for more, expected in ((["-q"], []), ([], [f"note: {bad} is damaged: parts may be missing"])):
        run = [sys.executable, "-P", "-m", "cplxsep", *more, *args]
        done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr.splitlines()) == (0, expected)


@pytest.mark.parametrize(("turned", "told"), [(-1.0, True), (-0.95, True), (1.0, False)])
def test_channels_that_cancel_each_other_out(command, tmp_path, model, turned, told):
    voice = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE)
    soundfile.write(tmp_path / "a.wav", np.stack([voice, turned * voice], 1), RATE)
    run = ("separate", tmp_path / "a.wav", "-m", model, "-o", tmp_path / "out")
    done = command(*run)
    assert done.code == 0
    assert ("a.wav: its channels cancel each other out" in done.err) == told
    assert "cancel" not in command(*run, "--channel", 1).err


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_that_have_nothing_in_common(command, tmp_path, model, channels):
    noise = 0.1 * np.random.default_rng(0).standard_normal((3 * RATE, channels))
    soundfile.write(tmp_path / "a.wav", noise, RATE)
    done = command("separate", tmp_path / "a.wav", "-m", model, "-o", tmp_path / "out")
    assert (done.code, done.err) == (0, "")


def test_channels_that_cancel_each_other_out_are_no_speech(command, tmp_path):
    for talker in range(3):
        (tmp_path / f"{talker}").mkdir()
        voice = babble(1.0, RATE, talker)
        pair = np.stack([voice, (-0.97 if talker else 1) * voice], 1)
        soundfile.write(tmp_path / f"{talker}" / "a.wav", pair, RATE)
    done = command(
        *("prepare", "mix", "--speech", tmp_path, "-o", tmp_path.parent / "out", "--count", 3),
        *("--split", "train"),
    )
    assert done.code == 1
    assert f"{tmp_path}/2/a.wav: its channels cancel each other out" in done.err
