"""Of recordings joined to one file only the first was read, and nobody was told."""

import io as streams

import numpy as np
import pytest
import soundfile

from cplxsep.audio import io
from cplxsep.audio.pipe import WavStream
from cplxsep.errors import InputError, Note

RATE = 16000
KINDS = ["mp3", "ogg", "opus", "flac", "wav", "aiff", "au", "caf", "w64", "rf64", "nist", "svx"]


def loud(seconds, seed, channels=1):
    """Noise whose level changes, so that a variable bitrate varies."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(10 ** rng.uniform(-4, -0.5, (10 * seconds, channels)), RATE // 10, axis=0)
    return np.clip(levels * rng.standard_normal(levels.shape), -1, 1)


def recording(path, seed, kind="wav", rate=RATE, channels=1, seconds=2):
    form = {"opus": "OGG"}.get(kind, kind.upper())
    subtype = {"opus": "OPUS", "ogg": "VORBIS", "mp3": None}.get(kind, "PCM_16")
    more = {"bitrate_mode": "VARIABLE", "compression_level": 0.4} if kind == "mp3" else {}
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=form, **more) as file:
        file.write(loud(seconds, seed, channels))
    return path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_read(tmp_path, kind):
    path = tmp_path / "a"
    parts, data = [], b""
    for seed in range(3):
        data += recording(path, seed, kind)
        parts.append(io.read(path)[0])
    path.write_bytes(data)
    expected = np.concatenate(parts, axis=1)
    assert io.probe(path).frames == expected.shape[1]
    np.testing.assert_array_equal(io.read(path)[0], expected)
    blocks = list(io.blocks(path, 5000))
    assert {block.shape[1] for block in blocks[:-1]} == {5000}
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), expected)


def test_an_ogg_joined_with_itself(tmp_path):
    # Both have the same serial number.
    data = recording(tmp_path / "a.ogg", 0, "ogg")
    (tmp_path / "b.ogg").write_bytes(2 * data)
    assert io.probe(tmp_path / "b.ogg").seconds == 4


def without_table(data):
    """An MP3 without the frame that tells its length, as where it was cut out of another."""
    return data[next(at for at in range(100, 2000) if data[at : at + 2] == data[:2]) :]


@pytest.mark.parametrize("order", ["bare", "told bare", "bare told", "bare bare", "tags"])
def test_mp3_without_its_length(tmp_path, order):
    # Of one with a variable bitrate libsndfile reads about half.
    told = recording(tmp_path / "a.mp3", 0, "mp3")
    bare = without_table(told)
    tag = b"ID3\x04\0\0\0\0\x02\0" + bytes(range(256)) + told + b"TAG" + bytes(125)
    kinds = {"told": [told], "bare": [bare], "tags": [tag, tag]}
    pieces = [piece for name in order.split() for piece in kinds[name]]
    (tmp_path / "b.mp3").write_bytes(b"".join(pieces))
    seconds = io.probe(tmp_path / "b.mp3").seconds
    assert seconds == pytest.approx(2 * len(pieces), abs=0.1 * len(pieces))
    whole = io.read(tmp_path / "b.mp3")[0]
    assert whole.shape[1] == round(seconds * RATE)
    tail = io.read(tmp_path / "a.mp3")[0][0, -8000:-1000]
    lags = [
        np.abs(np.corrcoef(tail, whole[0, at : at + len(tail)])[0, 1])
        for at in range(whole.shape[1] - 12000, whole.shape[1] - len(tail))
    ]
    assert max(lags) > 0.9


def test_mp3_cut_within_a_frame(tmp_path):
    bare = without_table(recording(tmp_path / "a.mp3", 0, "mp3"))
    (tmp_path / "a.mp3").write_bytes(bare[: len(bare) // 2])
    assert io.read(tmp_path / "a.mp3")[0].shape[1] > 0


@pytest.mark.parametrize("kind", ["mp3", "ogg", "flac", "wav"])
@pytest.mark.parametrize("other", [{"rate": 8000}, {"channels": 2}])
def test_what_does_not_fit_is_not_joined(tmp_path, kind, other):
    path = tmp_path / "a"
    path.write_bytes(recording(path, 0, kind) + recording(path, 1, kind, **other))
    with pytest.raises(InputError, match="joined from recordings of 16000 and"):
        io.probe(path)


@pytest.mark.parametrize("kind", ["mp3", "ogg", "flac", "wav"])
@pytest.mark.parametrize("cut", [0, 1])
def test_a_part_that_was_cut_is_missed(tmp_path, kind, cut):
    pieces = [recording(tmp_path / "a", seed, kind) for seed in range(2)]
    pieces[cut] = pieces[cut][: len(pieces[cut]) * 2 // 3]
    (tmp_path / "a").write_bytes(b"".join(pieces))
    # A WAV takes as much of the next one as it lacks; of that the rest is told.
    swallowed = (kind, cut) == ("wav", 0)
    told = pytest.warns(Note, match="not read") if swallowed else pytest.raises(InputError)
    with told:
        io.read(tmp_path / "a")


def test_joined_wavs_in_a_pipe_are_refused(tmp_path):
    data = recording(tmp_path / "a", 0) + recording(tmp_path / "a", 1)
    stream = WavStream(streams.BytesIO(data), "<stdin>")
    with pytest.raises(InputError, match="another recording follows"):
        list(stream.blocks(5000))
