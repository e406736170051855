"""References and mixtures in the layouts of the field."""

from pathlib import Path

import numpy as np
import pytest

from cplxsep.audio import io
from cplxsep.data.references import References, of_prepared
from cplxsep.errors import InputError, UsageError

SIGNALS = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 400)).astype(np.float32)
S1, S2, NOISE = SIGNALS


def put(folder: Path, files: dict[str, np.ndarray], rate: int = 8000) -> Path:
    for name, audio in files.items():
        path = folder / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        io.write(path, audio, rate)
    return folder


@pytest.fixture
def librimix(tmp_path) -> Path:
    """The folder of a split of Libri2Mix."""
    files = {"s1/a": S1, "s2/a": S2, "noise/a": NOISE, "mix_clean/a": S1 + S2}
    return put(tmp_path, files | {"mix_both/a": SIGNALS.sum(axis=0), "mix_single/a": S1 + NOISE})


def test_wsj0_2mix(tmp_path):
    references = References(put(tmp_path, {"s1/a": S1, "s2/a": S2, "mix/a": S1 + S2}))
    mixture, sources, rate = references.load("a")
    np.testing.assert_array_equal(mixture, S1 + S2)
    np.testing.assert_array_equal(sources, [S1, S2])
    assert (references.names, references.sources, rate) == (["a"], 2, 8000)


@pytest.mark.parametrize(("mix", "noise"), [("mix_clean", 0), ("mix_both", 1)])
@pytest.mark.parametrize("whole", [True, False])
def test_librimix(librimix, mix, noise, whole):
    references = References(librimix, librimix / mix if whole else Path(mix))
    mixture, sources, _ = references.load("a")
    np.testing.assert_allclose(mixture, S1 + S2 + noise * NOISE, atol=1e-6)
    np.testing.assert_array_equal(sources, [S1, S2])


def test_librimix_with_one_talker(librimix):
    references = References(librimix, Path("mix_single"))
    assert references.sources == 1
    np.testing.assert_array_equal(references.load("a")[1], [S1])


def test_librimix_has_several_mixtures_to_choose_from(librimix):
    with pytest.raises(UsageError, match="holds mix_both and mix_clean and mix_single: choose"):
        References(librimix)


def test_flat_files_with_their_mixture(examples):
    references = References(examples)
    mixture, sources, rate = references.load("two_talkers")
    assert (references.names, references.sources, rate) == (["two_talkers"], 2, 16000)
    np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-4)


def test_flat_files_without_mixtures(tmp_path):
    references = References(put(tmp_path, {"a_s1": S1, "a_s2": S2, "b_s1": S1}))
    assert (references.names, references.mixtures) == (["a", "b"], None)
    assert references.load("a")[0] is None
    with pytest.raises(InputError, match=r"missing reference: .*b_s2.wav"):
        references.load("b")


def test_flat_files_of_one_talker(tmp_path):
    references = References(put(tmp_path, {"p232_001": S1, "p232_002": S2}))
    assert (references.names, references.sources) == (["p232_001", "p232_002"], 1)
    assert references.mixtures is None


def test_wav_comes_before_flac(tmp_path):
    put(tmp_path, {"a": S1})
    io.write(tmp_path / "a.flac", S2, 8000)
    np.testing.assert_array_equal(References(tmp_path).load("a")[1], [S1])


def test_rates_that_differ(tmp_path):
    put(tmp_path, {"s1/a": S1})
    put(tmp_path, {"s2/a": S2}, 16000)
    with pytest.raises(InputError, match=r"s1/a.wav has 8000 Hz but .*s2/a.wav has 16000 Hz"):
        References(tmp_path).load("a")


def test_a_table_without_audio_is_told(tmp_path):
    """Regression: that a table by --manifest-only is no folder of mixtures did not help."""
    (tmp_path / "tt").mkdir()
    (tmp_path / "tt" / "metadata.csv").write_text("name\na\n")
    for folder in (tmp_path, tmp_path / "tt"):
        with pytest.raises(InputError, match=r"tt/metadata\.csv lists .* without --manifest-only"):
            of_prepared(folder, None)
    put(tmp_path, {"cv/mix/a": S1, "cv/s1/a": S1})
    assert of_prepared(tmp_path, None).names == ["a"]
