"""Damaged files of every container: audio, or one line; never another error, never endless."""

import io as streams
import warnings

import numpy as np
import pytest
import soundfile

from cplxsep.audio import io
from cplxsep.audio.pipe import NotStreamableError, WavStream
from cplxsep.errors import InputError, Note

FILES = 200  # of each kind
MOST = 1 << 24  # samples in memory: 8 MB are far more than any of these files holds
KINDS = {
    "wav": ("WAV", "PCM_16"),
    "float": ("WAV", "FLOAT"),
    "law": ("WAV", "ULAW"),
    "adpcm": ("WAV", "IMA_ADPCM"),
    "wavex": ("WAVEX", "PCM_24"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "nist": ("NIST", "PCM_16"),
    "svx": ("SVX", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}


def base(kind, rng, channels=1):
    form, subtype = KINDS[kind]
    buffer = streams.BytesIO()
    audio = 0.1 * rng.standard_normal((1600, channels))
    soundfile.write(buffer, audio, 16000, subtype, format=form)
    return buffer.getvalue()


def damaged(data, other, rng):
    """A copy of a file with one of the faults that files have."""
    data = bytearray(data)
    at = int(rng.integers(len(data)))
    head = int(rng.integers(min(len(data) - 8, 120)))
    fault = rng.integers(8)
    if fault == 0:  # bytes changed anywhere
        for place in rng.integers(0, len(data), rng.integers(1, 20)):
            data[place] = rng.integers(256)
    elif fault == 1:  # in the header
        for place in rng.integers(0, min(len(data), 120), rng.integers(1, 5)):
            data[place] = rng.integers(256)
    elif fault == 2:  # a number in the header: 0, too small, too large
        width = int(rng.choice([2, 4, 8]))
        value = int(rng.choice([0, 1, 7, 100, 1 << 12, 1 << 15, (1 << 16) - 1, 1 << 31, -1]))
        order = "big" if rng.integers(2) else "little"
        data[head : head + width] = (value % (1 << 8 * width)).to_bytes(width, order)
    elif fault == 3:  # cut
        del data[at:]
    elif fault == 4:  # joined, with another of its kind or of any
        data += other
    elif fault == 5:  # cut and joined
        data = data[:at] + other
    elif fault == 6:  # a piece lost
        del data[at : at + int(rng.integers(1, 2000))]
    else:  # a piece too much
        data[at:at] = rng.bytes(int(rng.integers(1, 2000)))
    return bytes(data)


def read_whole(path):
    info = io.probe(path)
    audio, _ = io.read(path)
    assert audio.shape == (info.channels, info.frames)
    blocks = [block.shape[1] for block in io.blocks(path, 1000)]
    assert sum(blocks) == info.frames
    return audio.size


def stream(data):
    reader = WavStream(streams.BytesIO(data), "<stdin>")
    return sum(block.size for block in reader.blocks(1000))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(tmp_path, kind):
    rng = np.random.default_rng(16 + list(KINDS).index(kind))
    whole = base(kind, rng)
    others = [whole, base(kind, rng, 1 if kind == "svx" else 2), base("wav", rng)]
    path = tmp_path / "a"
    good, said = 0, []
    for number in range(FILES):
        data = damaged(whole, others[number % 3], rng)
        if number % 5 == 0 and len(data) > 200:
            data = damaged(data, others[0], rng)
        path.write_bytes(data)
        for read in (lambda: read_whole(path), lambda: stream(data)):  # noqa: B023
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", Note)
                try:
                    size = read()
                except InputError as error:
                    said.append(str(error))
                except NotStreamableError:
                    pass
                else:
                    good += 1
                    assert 0 < size < MOST
    assert good > 5
    assert not [line for line in said if "\n" in line]
