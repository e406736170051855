import numpy as np
import pytest

from cplxsep.audio import io
from cplxsep.data.folders import MixtureFolder
from cplxsep.data.layout import METADATA, read_metadata
from cplxsep.errors import InputError


@pytest.fixture
def split(tmp_path):
    folder = tmp_path / "out" / "tt"
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        parts = rng.uniform(-0.3, 0.3, (3, 500)).astype(np.float32)
        for part, sub in zip((parts.sum(axis=0), *parts), ("mix", "s1", "s2", "s3"), strict=True):
            (folder / sub).mkdir(parents=True, exist_ok=True)
            io.write(folder / sub / f"{name}.wav", part, 8000)
    (folder / "metadata.csv").write_text("name,condition\na,babble\n")
    return folder


def test_reads(split):
    folder = MixtureFolder(split)
    assert (folder.names, folder.sources, len(folder)) == (["a", "b"], 3, 2)
    mixture, sources, rate = folder.load("b")
    assert (mixture.shape, sources.shape, rate) == ((500,), (3, 500), 8000)
    np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-6)
    assert read_metadata(split / METADATA) == {"a": {"name": "a", "condition": "babble"}}


def test_a_folder_of_one_split(split):
    assert MixtureFolder(split.parent).path == split


def test_without_metadata(split):
    (split / "metadata.csv").unlink()
    assert MixtureFolder(split).names == ["a", "b"]
    assert read_metadata(split / METADATA) == {}


def test_several_splits(split):
    (split.parent / "cv" / "mix").mkdir(parents=True)
    with pytest.raises(InputError, match=r"several splits: choose .*cv or .*tt"):
        MixtureFolder(split.parent)


def test_no_mixtures(tmp_path, split):
    with pytest.raises(InputError, match="not a folder of mixtures"):
        MixtureFolder(tmp_path / "missing")
    with pytest.raises(InputError, match="no folder mix"):
        MixtureFolder(split / "s1")
    (tmp_path / "mix").mkdir()
    with pytest.raises(InputError, match="no folder s1"):
        MixtureFolder(tmp_path)
    (tmp_path / "s1").mkdir()
    with pytest.raises(InputError, match="holds no WAV file"):
        MixtureFolder(tmp_path)


def test_files_that_do_not_belong_together(split):
    folder = MixtureFolder(split)
    io.write(split / "s2" / "a.wav", np.zeros(499, np.float32), 8000)
    with pytest.raises(InputError, match=r"s2/a.wav has 499 samples at 8000 Hz, its mixture 500"):
        folder.load("a")
    io.write(split / "s2" / "a.wav", np.zeros((2, 500), np.float32), 8000)
    with pytest.raises(InputError, match=r"s2/a.wav has 2 channels"):
        folder.load("a")
    (split / "s2" / "a.wav").unlink()
    with pytest.raises(InputError, match=r"s2/a.wav does not exist"):
        folder.load("a")
    assert folder.load("b")[2] == 8000


def test_metadata_that_is_no_valid_text(split):
    (split / "metadata.csv").write_bytes(b"name,condition\na,\xff\n")
    assert read_metadata(split / METADATA)["a"]["condition"] == "\udcff"


def test_bad_metadata(split):
    (split / "metadata.csv").write_text("file,condition\na,babble\n")
    with pytest.raises(InputError, match="no column name"):
        MixtureFolder(split)


def test_metadata_as_spreadsheets_write_it(split):
    text = "name,condition\na,babble\n"
    (split / "metadata.csv").write_text(text, encoding="utf-8-sig")
    assert read_metadata(split / METADATA)["a"] == {"name": "a", "condition": "babble"}
