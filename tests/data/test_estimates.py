"""Which files belong together, and what is said where they do not."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from cplxsep.audio import io
from cplxsep.data.estimates import EstimateFiles
from cplxsep.data.references import References
from cplxsep.errors import InputError

SIGNALS = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 2, 400)).astype(np.float32)


def open_pairs(ref: Path, est: Path, mix: Path | None = None) -> EstimateFiles:
    return EstimateFiles(References(ref, mix), est)


def put(path: Path, audio: np.ndarray, rate: int = 8000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write(path, audio, rate)


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """References and estimates of two mixtures whose names hold dots, as in wsj0-2mix."""
    for index, name in enumerate(["a_1.5_b_-1.5", "c_0.0_d_0.0"]):
        for j in (1, 2):
            put(tmp_path / "ref" / f"s{j}" / f"{name}.wav", SIGNALS[index, j - 1])
            put(tmp_path / "est" / f"s{j}" / f"{name}.wav", SIGNALS[index, j - 1] / 2)
    return tmp_path / "ref", tmp_path / "est"


def test_sub_folders(folders):
    pairs = open_pairs(*folders)
    references = pairs.references
    assert references.names == ["a_1.5_b_-1.5", "c_0.0_d_0.0"]
    assert (references.sources, references.mixtures, pairs.unused()) == (2, None, 0)
    mixture, references, estimates, rate = pairs.load("c_0.0_d_0.0")
    assert (mixture, rate) == (None, 8000)
    np.testing.assert_array_equal(references, SIGNALS[1])
    np.testing.assert_array_equal(estimates, SIGNALS[1] / 2)


def test_the_flat_output_of_separate(folders, tmp_path):
    for j in (1, 2):
        put(tmp_path / "flat" / f"a_1.5_b_-1.5_s{j}.flac", SIGNALS[0, j - 1] / 4)
    put(tmp_path / "flat" / "other_s1.wav", SIGNALS[0, 0])
    pairs = open_pairs(folders[0], tmp_path / "flat")
    np.testing.assert_allclose(pairs.load("a_1.5_b_-1.5")[2], SIGNALS[0] / 4, atol=1e-6)
    assert pairs.unused() == 1
    with pytest.raises(InputError, match=r"missing estimate: .*c_0.0_d_0.0_s1.wav"):
        pairs.load("c_0.0_d_0.0")


def test_mixtures_are_beside_the_references_or_named(folders, tmp_path):
    ref, est = folders
    for folder, gain in ((tmp_path / "mixtures", 1.0), (ref / "mix", 0.5)):
        put(folder / "a_1.5_b_-1.5.wav", gain * SIGNALS[0].sum(axis=0))
    named, beside = open_pairs(ref, est, tmp_path / "mixtures"), open_pairs(ref, est)
    a, b = (pairs.load("a_1.5_b_-1.5")[0] for pairs in (named, beside))
    np.testing.assert_allclose(a, 2 * b)
    with pytest.raises(InputError, match="missing mixture"):
        named.load("c_0.0_d_0.0")


def test_a_missing_reference(folders):
    ref, est = folders
    (ref / "s1" / "c_0.0_d_0.0.wav").unlink()
    pairs = open_pairs(ref, est)
    assert len(pairs.references.names) == 2
    with pytest.raises(InputError, match=r"missing reference: .*s1/c_0.0_d_0.0.wav"):
        pairs.load("c_0.0_d_0.0")


def test_side_files_of_other_programs_do_not_count(folders):
    for folder in folders:
        (folder / "s1" / "._a_1.5_b_-1.5.wav").write_text("no audio")
    pairs = open_pairs(*folders)
    assert (len(pairs.references.names), pairs.unused()) == (2, 0)


def test_estimates_of_a_third_source_are_unused(folders):
    ref, est = folders
    put(est / "s3" / "c_0.0_d_0.0.wav", SIGNALS[0, 0])
    pairs = open_pairs(ref, est)
    assert pairs.unused() == 1
    assert pairs.load("a_1.5_b_-1.5")[2].shape == (2, 400)


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (SIGNALS[0, 0, :-1], 8000, "has 400 samples but .* has 399"),
        (SIGNALS[0, 0], 16000, "has 8000 Hz but .* has 16000 Hz"),
        (SIGNALS[0], 8000, "2 channels"),
    ],
)
def test_files_that_do_not_fit(folders, audio, rate, message):
    ref, est = folders
    put(est / "s2" / "c_0.0_d_0.0.wav", audio, rate)
    with pytest.raises(InputError, match=message) as error:
        open_pairs(ref, est).load("c_0.0_d_0.0")
    assert str(est / "s2") in str(error.value)


def test_folders_that_are_not_there_or_empty(folders, tmp_path):
    ref, est = folders
    (tmp_path / "empty" / "s1").mkdir(parents=True)
    with pytest.raises(InputError, match="is not a folder"):
        open_pairs(ref, tmp_path / "nowhere")
    with pytest.raises(InputError, match="no sub-folder s1"):
        open_pairs(tmp_path, est)
    with pytest.raises(InputError, match="no audio files"):
        open_pairs(tmp_path / "empty", est)
    with pytest.raises(InputError, match=r"no estimate for any reference, such as a_1.5_b_-1.5"):
        open_pairs(ref, tmp_path / "empty")


def test_estimates_for_too_few_talkers(folders, tmp_path):
    ref, est = folders
    shutil.rmtree(est / "s2")
    with pytest.raises(InputError, match="estimates for 1 of 2 talkers"):
        open_pairs(ref, est)
    put(tmp_path / "flat" / "a_1.5_b_-1.5_s1.wav", SIGNALS[0, 0])
    with pytest.raises(InputError, match="estimates for 1 of 2 talkers"):
        open_pairs(ref, tmp_path / "flat")


@pytest.mark.parametrize("estimate", ["a", "a_enhanced", "a_s1", "s1/a"])
def test_one_reference_for_each_mixture(tmp_path, estimate):
    """Enhancement, in the layout of its corpora: a folder of clean and one of noisy speech."""
    put(tmp_path / "clean" / "a.wav", SIGNALS[0, 0])
    put(tmp_path / "noisy" / "a.wav", SIGNALS[0].sum(axis=0))
    put(tmp_path / "est" / f"{estimate}.wav", SIGNALS[0, 1])
    pairs = open_pairs(tmp_path / "clean", tmp_path / "est", tmp_path / "noisy")
    mixture, references, estimates, _ = pairs.load("a")
    np.testing.assert_array_equal(mixture, SIGNALS[0].sum(axis=0))
    np.testing.assert_array_equal(references, SIGNALS[0, :1])
    np.testing.assert_array_equal(estimates, SIGNALS[0, 1:])
    assert pairs.unused() == 0


def test_ten_thousand_files_are_listed_quickly(tmp_path):
    for folder in ("ref/s1", "ref/s2", "ref/mix", "est"):
        (tmp_path / folder).mkdir(parents=True)
    for number in range(10_000):
        for path in ("ref/mix/{}", "ref/s1/{}", "ref/s2/{}", "est/{}_s1", "est/{}_s2"):
            os.close(os.open(tmp_path / f"{path.format(number)}.wav", os.O_CREAT | os.O_WRONLY))
    start = time.process_time()
    pairs = open_pairs(tmp_path / "ref", tmp_path / "est")
    assert pairs.unused() == 0
    for name in pairs.references.names:
        pairs.references.files(name)
    assert time.process_time() - start < 3
    assert len(pairs.references.names) == 10_000
