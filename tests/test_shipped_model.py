"""The checkpoint that everybody gets: there, intact, and as good as its card says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cplxsep.config import read_config
from cplxsep.engine.check import check
from cplxsep.metrics.sisdr import si_sdr_matrix
from cplxsep.model_folder import catalogue
from cplxsep.training.examples import load_examples

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def separator():
    from cplxsep import Separator

    return Separator.load(device="cpu")


@pytest.fixture(scope="module")
def exact():
    from cplxsep import Separator

    return Separator.load(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def example(examples):
    """Mixture (S,), references (N, S) and rate of the shipped recording."""
    parts = [soundfile.read(examples / f"two_talkers{end}.wav") for end in ("", "_s1", "_s2")]
    mixture, *references = (audio.astype(np.float32) for audio, _ in parts)
    return mixture, np.stack(references), parts[0][1]


def best_si_sdr(references, estimates):
    scores = si_sdr_matrix(references, estimates)
    return max(np.trace(scores), np.trace(scores[:, ::-1])) / 2


def test_it_is_shipped_and_intact():
    assert catalogue.DEFAULT_MODEL in catalogue.names()
    assert check(catalogue.resolve(catalogue.DEFAULT_MODEL)) is None


def test_the_example_is_the_sum_of_its_references(example):
    mixture, references, _ = example
    assert np.array_equal(mixture, references.sum(axis=0))


@pytest.mark.parametrize("offset", [0.1, 0.4])
def test_an_offset_costs_nothing(exact, example, offset):
    """Regression: 0.1 cost 8 dB, 0.4 18 dB."""
    mixture, _, rate = example
    expected = exact(mixture, rate)
    found = exact((mixture + offset).astype(np.float32), rate)
    assert np.abs(found - expected).max() < 1e-3 * np.abs(expected).max()


def test_it_separates_the_example(separator, example):
    mixture, references, rate = example
    before = best_si_sdr(references, np.stack([mixture, mixture]))
    after = best_si_sdr(references, separator(mixture, rate))
    assert after - before > 4.0


def test_sources_have_the_level_of_the_talkers(separator, example):
    """Regression: trained for SI-SDR, the network's own level is hundreds of times too high."""
    mixture, references, rate = example
    estimates = separator(mixture, rate)
    ratio = np.sqrt(np.mean(estimates**2, axis=1)) / np.sqrt(np.mean(references**2, axis=1))
    swapped = np.sqrt(np.mean(estimates**2, axis=1)) / np.sqrt(
        np.mean(references[::-1] ** 2, axis=1)
    )
    best = min(np.abs(20 * np.log10(ratio)).max(), np.abs(20 * np.log10(swapped)).max())
    assert best < 3.0


@pytest.mark.parametrize("gain", [0.001, 0.1, 10.0, 100.0])
def test_gain_passes_through(exact, example, gain):
    mixture, _, rate = example
    expected = gain * exact(mixture, rate)
    found = exact(np.float32(gain) * mixture, rate)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_in_low_precision_it_is_within_30_db_of_float32_and_as_good(exact, example, precision):
    """On CPUs with VNNI auto is int8."""
    from cplxsep import Separator

    mixture, references, rate = example
    mixture, references = mixture[: 2 * rate], references[:, : 2 * rate]
    expected = exact(mixture, rate)
    found = Separator.load(device="cpu", precision=precision)(mixture, rate)
    assert np.sum((found - expected) ** 2) < 1e-3 * np.sum(expected**2)
    assert abs(best_si_sdr(references, found) - best_si_sdr(references, expected)) < 0.1


def test_the_command_of_the_readme(run_cli, examples, tmp_path):
    done = run_cli("separate", examples / "two_talkers.wav", "--sum-to-mix", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    paths = [tmp_path / line for line in done.stdout.splitlines()]
    assert [path.name for path in paths] == ["two_talkers_s1.wav", "two_talkers_s2.wav"]
    total = sum(soundfile.read(path)[0] for path in paths)
    mixture, _ = soundfile.read(examples / "two_talkers.wav")
    np.testing.assert_allclose(total, mixture, atol=1e-4)


def test_figures_in_the_readme_are_those_of_the_metrics():
    folders = [config.parent for config in (ROOT / "models").glob("*/config.toml")]
    assert folders
    for folder in folders:
        metrics = json.loads((folder / "metrics.json").read_text())
        row = re.search(
            rf"\| `{folder.name}` \|.*\| ([\d.]+) dB \|", (ROOT / "README.md").read_text()
        )
        assert row, f"README has no row for {folder.name}"
        mean = metrics["test"]["si_sdr_i"]["mean"]
        assert float(row[1]) == pytest.approx(mean, abs=0.05)
        card = (folder / "README.md").read_text()
        enhances = metrics["task"] == "enhancement"
        for group, scores in {"all": metrics["test"], **metrics["test_groups"]}.items():
            # Groups are ratios in dB beside other methods, or corpora with their count.
            start = rf"\| {group.removesuffix(' dB')} \| {folder.name if enhances else '[0-9]+'} \|"
            figure = scores["si_sdr" if enhances else "si_sdr_i"]["mean"]
            assert re.search(rf"{start} {figure:.2f} \(", card)


def test_its_recipe_takes_a_folder_of_speakers(tmp_path):
    """Regression: it named a split that only one corpus has; the README's command must work."""
    for speaker in range(6):
        (tmp_path / f"p{speaker}").mkdir()
        noise = np.random.default_rng(speaker).standard_normal(5 * 8000).astype(np.float32) / 20
        soundfile.write(tmp_path / f"p{speaker}" / "a.wav", noise, 8000)
    config = read_config(catalogue.resolve("dce-2spk") / "config.toml", [f"data.speech={tmp_path}"])
    (train,), valid = load_examples(config, tmp_path / "run", lambda _: None)
    for examples in (train, valid):
        assert examples.example(0)[0].shape == (4 * 8000,)
