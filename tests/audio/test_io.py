import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cplxsep.audio import io, parts
from cplxsep.audio.recording import Recording
from cplxsep.errors import InputError


@pytest.fixture
def noise():
    return np.random.default_rng(0).uniform(-0.9, 0.9, (2, 9001)).astype(np.float32)


@pytest.fixture
def speech(tmp_path, noise):
    path = tmp_path / "speech.wav"
    io.write(path, noise, 16000)
    return path


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="has no such thing")


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("name", "subtype", "step"),
    [
        ("a.wav", "float", 0.0),
        ("a.wav", "pcm16", 2.0**-16),
        ("a.wav", "pcm24", 2.0**-24),
        ("a.flac", "pcm16", 2.0**-16),
        ("a.flac", "pcm24", 2.0**-24),
        ("a.flac", "float", 2.0**-24),
    ],
)
def test_round_trip(tmp_path, noise, name, subtype, step):
    io.write(tmp_path / name, noise, 11025, subtype=subtype)
    audio, rate = io.read(tmp_path / name)
    assert rate == 11025
    assert audio.dtype == np.float32
    assert np.abs(audio - noise).max() <= step * 1.01


def test_pcm_is_written_as_it_was_read(tmp_path, noise):
    io.write(tmp_path / "a.wav", noise, 8000, subtype="pcm16")
    first, _ = io.read(tmp_path / "a.wav")
    io.write(tmp_path / "b.wav", first, 8000, subtype="pcm16")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


def test_long_ogg(tmp_path):
    # One write of this length crashes libsndfile's Vorbis encoder.
    tone = 0.5 * np.sin(np.arange(3_000_000) * 0.05).astype(np.float32)
    io.write(tmp_path / "a.ogg", tone, 44100)
    audio, _ = io.read(tmp_path / "a.ogg")
    assert audio.shape == (1, 3_000_000)
    assert np.abs(audio[0] - tone)[1000:-1000].max() < 0.05


def test_equal_audio_gives_equal_bytes(tmp_path, noise):
    io.write(tmp_path / "a.wav", noise, 8000)
    data = (tmp_path / "a.wav").read_bytes()
    at = data.index(b"PEAK")
    assert data[at + 12 : at + 16] == bytes(4)


@pytest.mark.parametrize("subtype", ["pcm16", "pcm24"])
@pytest.mark.parametrize("value", [1.0001, np.nan])
def test_pcm_never_clips_silently(tmp_path, subtype, value):
    with pytest.raises(ValueError, match="full scale"):
        io.write(tmp_path / "a.wav", np.full(10, value, np.float32), 8000, subtype=subtype)
    assert list(tmp_path.iterdir()) == []


def test_float_keeps_what_is_above_full_scale(tmp_path):
    io.write(tmp_path / "a.wav", np.full(10, 3.0, np.float32), 8000)
    assert io.read(tmp_path / "a.wav")[0].max() == 3.0


def test_full_scale_fits_pcm(tmp_path):
    io.write(tmp_path / "a.wav", np.array([1.0, -1.0], np.float32), 8000, subtype="pcm16")
    audio, _ = io.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(audio[0], np.float32([32767 / 32768, -1.0]))


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.mp4", "float"), ("a", "float"), ("a.wav", "pcm8")]
)
def test_unknown_kinds_to_write(tmp_path, name, subtype):
    with pytest.raises(ValueError, match="cannot write"):
        io.write(tmp_path / name, np.zeros(10, np.float32), 8000, subtype=subtype)


def test_ogg_at_rates_that_crash_its_encoder(tmp_path):
    io.write(tmp_path / "a.ogg", np.zeros(1000, np.float32), 192000)
    with pytest.raises(InputError, match="200000 Hz"):
        io.write(tmp_path / "b.ogg", np.zeros(1000, np.float32), 384000)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.ogg"]


@pytest.mark.parametrize(
    ("subtype", "channels", "rate"),
    [
        ("PCM_U8", 1, 8000),
        ("PCM_24", 1, 44100),
        ("PCM_16", 6, 48000),
        ("PCM_32", 2, 192000),
        ("ULAW", 1, 8000),
        ("DOUBLE", 1, 96000),
    ],
)
def test_reads_any_width_channels_and_rate(tmp_path, subtype, channels, rate):
    tone = np.random.default_rng(1).uniform(-0.9, 0.9, (500, channels))
    soundfile.write(tmp_path / "a.wav", tone, rate, subtype=subtype)
    info = io.probe(tmp_path / "a.wav")
    assert (info.channels, info.sample_rate, info.frames) == (channels, rate, 500)
    assert info.seconds == 500 / rate
    audio, own_rate = io.read(tmp_path / "a.wav")
    assert audio.shape == (channels, 500)
    assert own_rate == rate
    assert np.abs(audio - tone.T).max() < 0.03


def test_one_sample(tmp_path):
    io.write(tmp_path / "a.wav", np.float32([0.5]), 8000)
    np.testing.assert_array_equal(io.read(tmp_path / "a.wav")[0], [[0.5]])


@pytest.mark.parametrize("size", [1, 1000, 9001, 20000])
def test_blocks_join_to_the_whole(speech, noise, size):
    parts = list(io.blocks(speech, size))
    assert all(part.shape[1] == size for part in parts[:-1])
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), noise)


def bad_file(folder, kind):
    path = folder / f"{kind}.wav"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is no audio\n" * 20)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "headerless":
        path = folder / "a.raw"
        path.write_bytes(bytes(100))
    elif kind == "zero-length":
        soundfile.write(path, np.zeros(0), 8000)
    elif kind == "header only":
        path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    return path


@pytest.mark.parametrize("read", [io.probe, io.read, lambda path: list(io.blocks(path, 100))])
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "does not exist"),
        ("folder", "is a folder"),
        ("empty", "is empty"),
        ("text", "not readable audio"),
        ("headerless", "not readable audio"),
        pytest.param("pipe", "no regular file", marks=needs_posix),
        ("header only", "not readable audio"),
        ("zero-length", "holds no samples"),
    ],
)
def test_bad_files(tmp_path, read, kind, says):
    path = bad_file(tmp_path, kind)
    with pytest.raises(InputError, match=says) as error:
        read(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "opus"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated(tmp_path, kind, share):
    path = tmp_path / f"a.{kind}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 48000)
    form = {"format": "OGG", "subtype": "OPUS"} if kind == "opus" else {}
    soundfile.write(path, noise, 16000, **form)
    assert io.read(path)[0].shape == (1, 48000)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError) as error:
        io.read(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_sizes_of_streaming_programs_are_no_truncation(tmp_path, length):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(100, 0.25), 8000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", length)
    path.write_bytes(data)
    assert io.read(path)[0].shape == (1, 100)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("read", [io.read, lambda path: list(io.blocks(path, 100))])
def test_not_finite(tmp_path, value, read):
    audio = np.zeros(1000, np.float32)
    audio[700] = value
    io.write(tmp_path / "a.wav", audio, 8000)
    with pytest.raises(InputError, match="NaN or infinite"):
        read(tmp_path / "a.wav")


@needs_posix
def test_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    io.write(path, np.zeros(10, np.float32), 8000)
    assert io.read(path)[0].shape == (1, 10)


def test_no_folder_to_write_in(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        io.write(tmp_path / "missing" / "a.wav", np.zeros(10, np.float32), 8000)


def test_read_only_disk(tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(InputError, match="Read-only file system") as error:
        io.write(tmp_path / "a.wav", np.zeros(10, np.float32), 8000)
    assert "a.wav" in one_line(error)


def test_a_failed_write_leaves_the_old_file(tmp_path, speech, monkeypatch):
    before = speech.read_bytes()

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        io.write(speech, np.zeros(10, np.float32), 8000)
    assert speech.read_bytes() == before
    assert list(tmp_path.iterdir()) == [speech]


@needs_posix
@pytest.mark.parametrize("subtype", ["float", "pcm16"])
@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_full_disk(tmp_path, subtype, kind):
    # A limit on the size of files stops the writing as a full disk does.
    code = f"""
import resource, numpy, pathlib
from cplxsep.audio import io
from cplxsep.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
noise = numpy.random.default_rng(0).uniform(-0.9, 0.9, 100000).astype("float32")
try:
    io.write(pathlib.Path("a.{kind}"), noise, 8000, subtype="{subtype}")
except InputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot write a.{kind}: ")
    assert done.stdout.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_cut_as_it_is_opened(tmp_path, noise, monkeypatch):
    io.write(tmp_path / "a.wav", noise, 16000)
    find = parts.find

    def meanwhile(file, size):
        os.truncate(tmp_path / "a.wav", size // 2)
        return find(file, size)

    monkeypatch.setattr(parts, "find", meanwhile)
    with pytest.raises(InputError, match=r"a\.wav is truncated: it became shorter"):
        io.probe(tmp_path / "a.wav")


@pytest.mark.parametrize("kept", [0.5, 0.001])
def test_file_that_is_cut_after_its_header_was_read(tmp_path, kept):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(80000, 0.1), 8000, subtype="PCM_16")
    with path.open("rb") as file:
        recording = Recording(path, file)
        os.truncate(path, round(kept * path.stat().st_size))
        with pytest.raises(InputError, match=r"a\.wav is truncated: \d+ samples are missing"):
            list(recording.blocks(4096))


def test_a_wav_by_another_name(tmp_path, speech):
    """libsndfile takes a .raw for samples without a header, whatever is in it."""
    expected, rate = io.read(speech)
    audio, found = io.read(speech.rename(tmp_path / "a.RAW"))
    assert found == rate
    np.testing.assert_array_equal(audio, expected)
