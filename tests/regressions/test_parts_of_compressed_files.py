"""MP3 read in blocks was mostly noise: each seek lost the frames before."""

import numpy as np
import pytest
import soundfile

from cplxsep.audio import io


@pytest.fixture(params=["a.flac", "a.ogg", "a.opus", "a.mp3"])
def sweep(tmp_path, request):
    path = tmp_path / request.param
    form = {"format": "OGG", "subtype": "OPUS"} if path.suffix == ".opus" else {}
    soundfile.write(path, 0.5 * np.sin(np.arange(48000) ** 1.2 * 0.02), 16000, **form)
    return path


@pytest.mark.parametrize("size", [700, 1152, 16000])
def test_blocks_join_to_the_whole(sweep, size):
    whole, _ = io.read(sweep)
    parts = np.concatenate(list(io.blocks(sweep, size)), axis=1)
    np.testing.assert_allclose(parts, whole, atol=1e-6)
