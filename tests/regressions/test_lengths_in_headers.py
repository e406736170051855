"""Half of a recording passed for the whole outside RIFF and Ogg, and whole FLACs for cut ones."""

import struct

import numpy as np
import pytest
import soundfile

from cplxsep.audio import header, io
from cplxsep.errors import InputError, Note

NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (10000, 2))


@pytest.mark.parametrize("form", ["WAV", "RF64", "W64", "AIFF", "AU", "NIST", "CAF", "SVX"])
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
@pytest.mark.parametrize("lost", [0.5, 0.001])
def test_what_is_cut_off_is_missed(tmp_path, form, endian, lost):
    path = tmp_path / "a"
    audio = NOISE[:, :1] if form == "SVX" else NOISE
    try:
        soundfile.write(path, audio, 16000, "PCM_16", endian, form)
    except (soundfile.LibsndfileError, ValueError):
        pytest.skip("no such files")
    assert io.probe(path).frames == io.read(path)[0].shape[1] == len(audio)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * (1 - lost))])
    for read in (io.probe, io.read):
        with pytest.raises(InputError, match=r"truncated|malformed"):
            read(path)


def test_riff_of_more_than_2_gib(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, 8000)
    data = bytearray(path.read_bytes())
    at = data.index(b"data")
    data[at + 4 : at + 8] = struct.pack("<I", 3 << 30)
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated"):
        io.probe(path)


def test_au_of_a_streaming_program(tmp_path):
    path = tmp_path / "a.au"
    soundfile.write(path, NOISE, 8000)
    data = bytearray(path.read_bytes())
    data[8:12] = b"\xff" * 4
    path.write_bytes(data)
    assert io.read(path)[0].shape == (2, 10000)


@pytest.fixture
def piped_flac(tmp_path):
    """A FLAC as an encoder leaves it that cannot go back to its header."""
    path = tmp_path / "a.flac"
    soundfile.write(path, np.tile(NOISE, (20, 1)), 8000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:42] = bytes(20)
    path.write_bytes(data)
    return path


def test_flac_that_does_not_tell_its_length(piped_flac):
    assert io.probe(piped_flac).seconds == 25
    audio, rate = io.read(piped_flac)
    assert rate == 8000
    assert np.abs(audio.T - np.tile(NOISE, (20, 1))).max() < 1e-4
    parts = list(io.blocks(piped_flac, 70000))
    assert [part.shape for part in parts] == [(2, 70000), (2, 70000), (2, 60000)]
    assert [part.shape for part in io.blocks(piped_flac, 100000)] == [(2, 100000)] * 2
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), audio)


def test_cut_flac_that_does_not_tell_its_length(piped_flac):
    piped_flac.write_bytes(piped_flac.read_bytes()[:100_000])
    with pytest.raises(InputError):
        io.probe(piped_flac)


@pytest.mark.parametrize("form", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF"])
@pytest.mark.parametrize("announced", [0, 1000])
def test_a_length_that_is_too_small(tmp_path, form, announced):
    """As of a recorder that was cut off, before it wrote the length or after it did last."""
    path = tmp_path / "a"
    soundfile.write(path, NOISE, 16000, "PCM_16", format=form)
    expected, _ = io.read(path)
    data = bytearray(path.read_bytes())
    told = header.promise(path.open("rb"), 0, len(data))
    data[told.at : told.at + told.width] = told.told(4 * announced)
    path.write_bytes(data)
    if form == "W64" and announced:  # read to the end all the same
        np.testing.assert_array_equal(io.read(path)[0], expected)
        return
    with pytest.warns(Note, match="not read" if announced else "gives no length"):
        audio, _ = io.read(path)
    np.testing.assert_array_equal(audio, expected[:, : announced or None])


def test_a_flac_with_an_mp3_tag(tmp_path):
    soundfile.write(tmp_path / "a.flac", NOISE, 16000)
    tagged = b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + (tmp_path / "a.flac").read_bytes()
    (tmp_path / "b.flac").write_bytes(tagged)
    np.testing.assert_array_equal(io.read(tmp_path / "b.flac")[0], io.read(tmp_path / "a.flac")[0])
