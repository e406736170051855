"""WAV through a pipe: as libsndfile reads it from a file, whole or refused."""

import io
import struct

import numpy as np
import pytest
import soundfile

from cplxsep.audio.io import read
from cplxsep.audio.pipe import NotStreamableError, WavStream
from cplxsep.errors import InputError

NOISE = np.random.default_rng(0).uniform(-0.9, 0.9, (1001, 2))


class Trickle(io.BytesIO):
    """Gives less than was asked for, as pipes do."""

    def read(self, size=-1):
        return super().read(min(size, 777))


def written(tmp_path, form="WAV", subtype="PCM_16", length=None, audio=NOISE):
    path = tmp_path / "a"
    soundfile.write(path, audio, 11025, subtype, format=form)
    data = bytearray(path.read_bytes())
    if length is not None:
        at = data.index(b"data")
        data[at + 4 : at + 8] = struct.pack("<I", length)
    return path, bytes(data)


def joined(stream, block=100):
    parts = list(stream.blocks(block))
    assert all(part.shape[1] == block for part in parts[:-1])
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [
        *(("WAV", kind) for kind in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")),
        ("WAVEX", "PCM_24"),
        ("WAVEX", "FLOAT"),
        ("RF64", "PCM_16"),
    ],
)
def test_samples_are_those_of_the_file(tmp_path, form, subtype):
    path, data = written(tmp_path, form, subtype)
    stream = WavStream(Trickle(data), "<stdin>")
    info = stream.info
    assert (info.sample_rate, info.channels, info.frames) == (11025, 2, 1001)
    assert np.array_equal(joined(stream), read(path)[0])


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF - 36])
def test_unknown_length_is_read_to_the_end(tmp_path, length):
    expected, _ = read(written(tmp_path)[0])
    _, data = written(tmp_path, length=length)
    stream = WavStream(io.BytesIO(data), "<stdin>")
    assert stream.info.frames == 0
    assert np.array_equal(joined(stream), expected)


def test_what_follows_the_audio_is_no_audio(tmp_path):
    path, data = written(tmp_path)
    stream = WavStream(io.BytesIO(data + b"LIST\x04\0\0\0abcd"), "<stdin>")
    assert np.array_equal(joined(stream), read(path)[0])


@pytest.mark.parametrize("lost", [1, 400, 3999])
def test_a_stream_that_breaks_off(tmp_path, lost):
    _, data = written(tmp_path)
    with pytest.raises(InputError, match=r"<stdin> broke off after 0\.[0-9] s"):
        joined(WavStream(io.BytesIO(data[:-lost]), "<stdin>"))


def test_a_stream_of_unknown_length_that_breaks_off_within_a_sample(tmp_path):
    _, data = written(tmp_path, length=0xFFFFFFFF)
    with pytest.raises(InputError, match="broke off"):
        joined(WavStream(io.BytesIO(data[:-3]), "<stdin>"))


def test_nan_and_nothing(tmp_path):
    _, data = written(tmp_path, subtype="FLOAT", audio=np.full((50, 1), np.nan))
    with pytest.raises(InputError, match="NaN"):
        joined(WavStream(io.BytesIO(data), "<stdin>"))
    _, data = written(tmp_path, audio=np.zeros((0, 1)))
    with pytest.raises(InputError, match="holds no samples"):
        joined(WavStream(io.BytesIO(data), "<stdin>"))
    with pytest.raises(InputError, match="empty"):
        WavStream(io.BytesIO(b""), "<stdin>")


@pytest.mark.parametrize("form", [("FLAC", "PCM_16"), ("WAV", "ULAW"), ("OGG", "VORBIS"), None])
def test_other_formats_are_refused_with_all_that_was_taken(tmp_path, form):
    data = written(tmp_path, *form)[1] if form else b"RIFF\x10\0\0\0WAVEfmt "
    source = io.BytesIO(data)
    with pytest.raises(NotStreamableError) as refused:
        WavStream(source, "<stdin>")
    assert refused.value.head + source.read() == data


@pytest.mark.parametrize("channels", [1, 3])
def test_a_byte_that_makes_an_unknown_length_even(tmp_path, channels):
    audio = np.random.default_rng(1).uniform(-0.9, 0.9, (1001, channels))
    path, data = written(tmp_path, subtype="PCM_24", length=0xFFFFFFFF, audio=audio)
    start = data.index(b"data") + 8
    padded = data[: start + 1001 * channels * 3] + b"\0"
    for block in (100, 1001, 5000):
        samples = joined(WavStream(io.BytesIO(padded), "<stdin>"), block)
        assert np.array_equal(samples, read(path)[0][:, :1001])


def test_samples_in_wider_frames_are_left_to_libsndfile(tmp_path):
    """It takes them for what they are; here pairs of them were read as one."""
    _, data = written(tmp_path, audio=NOISE[:, :1])
    data = bytearray(data)
    data[28:34] = struct.pack("<IH", 11025 * 4, 4)
    with pytest.raises(NotStreamableError):
        WavStream(io.BytesIO(data), "<stdin>")


def test_another_form_of_riff_is_no_wav(tmp_path):
    data = written(tmp_path)[1].replace(b"WAVE", b"AVI ")
    with pytest.raises(NotStreamableError):
        WavStream(io.BytesIO(data), "<stdin>")


@pytest.mark.parametrize("between", [b"", b"LIST\x04\0\0\0abcd", b"junk\xd0\x07\0\0" + bytes(2000)])
def test_audio_behind_other_chunks_is_not_left_out(tmp_path, between):
    _, data = written(tmp_path)
    more = between + b"LIST\x02\0\0\0ab" + data[data.index(b"data") :]
    with pytest.raises(InputError, match="another recording follows"):
        joined(WavStream(Trickle(data + more), "<stdin>"))
