"""Training to enhance: noisy examples from a configuration, and a model folder at the end."""

import json

import numpy as np
import pytest
import soundfile

from cplxsep.config import read_config
from cplxsep.errors import UsageError
from cplxsep.nn import backends
from cplxsep.training import run
from cplxsep.training.examples import load_examples


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    rows = ["path,corpus,split,sample_rate,seconds"]
    for name, split in (("a", "tr"), ("b", "tr"), ("c", "cv")):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal(8000), 8000)
        rows.append(f"{name}.wav,made,{split},8000,1.0")
    (folder / "noise.csv").write_text("\n".join(rows) + "\n")
    return folder / "noise.csv"


def changes(noise, *more):
    return [
        "model.sources=1",
        "model.level=network",
        "model.mask=polar",
        f"noise.recordings={noise}",
        "noise.own_snr=0",
        *more,
    ]


def test_a_run_ends_with_an_enhancement_model(run_cli, tiny_config, noise, tmp_path):
    settings = changes(noise, "train.loss=snr", "train.magnitude=10", "train.steps=4")
    options = [part for change in settings for part in ("--set", change)]
    done = run_cli("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "run" / "model"
    assert f"cplxsep enhance -m {folder} FILES" in done.stderr
    assert json.loads((folder / "metrics.json").read_text())["task"] == "enhancement"
    assert "Enhances speech at 8000 Hz" in (folder / "README.md").read_text()
    assert 'recordings = "noise.csv"' in (folder / "config.toml").read_text()


@pytest.mark.parametrize("loss", ["si-sdr", "wsdr", "csim"])  # of audio, of mixtures, of spectra
def test_every_loss_trains_one_source(tiny_config, noise, tmp_path, loss):
    settings = changes(noise, f"train.loss={loss}", "train.magnitude=1")
    said = []
    options = run.Options(tmp_path / "run", device="cpu")
    try:
        run.check(read_config(tiny_config, settings), options, None, said.append)
    finally:
        backends.disable()
    assert any("step 1: valid" in line for line in said)
    assert not any("FILES" in line for line in said)  # nothing is kept that could be used


def test_validation_is_of_speech_in_noise_and_undamaged(tiny_config, noise, tmp_path):
    every = [f"noise.{kind}=1.0" for kind in ("noise_only", "band_limited", "clipped")]
    settings = [*changes(noise, *every), "noise.clean=0.0"]
    (train,), valid = load_examples(read_config(tiny_config, settings), tmp_path, print)
    assert not train.example(0)[1].any()
    mixture, (reference,) = valid.example(0)
    assert reference.any()
    assert not np.allclose(mixture, reference)


def test_several_training_splits(tiny_config, noise, tmp_path):
    settings = changes(noise, "data.train_split=tr, cv")
    (train,), _ = load_examples(read_config(tiny_config, settings), tmp_path, print)
    assert train.example(0)[0].shape == (4000,)
    with pytest.raises(UsageError, match=r"has no split 'dev'; it has: cv, tr"):
        load_examples(
            read_config(tiny_config, changes(noise, "data.train_split=tr,dev")), tmp_path, print
        )
