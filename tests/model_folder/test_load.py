"""Model folders: strict loading, one clear error for each way to be broken."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from cplxsep.config import Config, ModelConfig, to_toml
from cplxsep.errors import ModelError
from cplxsep.model_folder.contents import CONFIG, METRICS, WEIGHTS, metrics
from cplxsep.model_folder.load import load_model
from cplxsep.model_folder.publish import weights_bytes
from cplxsep.networks.model import SeparationModel

MODEL = {"start_maps": 8, "levels": 2, "transformations": 1}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    config = Config(model=ModelConfig(**MODEL))
    (tmp_path / WEIGHTS).write_bytes(weights_bytes(SeparationModel(config.model)))
    (tmp_path / CONFIG).write_text(to_toml(config))
    return tmp_path


def test_a_stored_model_gives_the_same_output(folder):
    torch.manual_seed(0)
    original = SeparationModel(ModelConfig(**MODEL)).eval()
    mixture = torch.randn(1, 1000)
    loaded = load_model(folder)
    assert not loaded.training
    torch.testing.assert_close(loaded(mixture), original(mixture), rtol=0, atol=0)


def test_missing_folder_config_and_weights(folder, tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load_model(tmp_path / "nothing")
    (folder / WEIGHTS).rename(folder / "elsewhere")
    with pytest.raises(ModelError, match="is missing"):
        load_model(folder)
    (folder / CONFIG).unlink()
    with pytest.raises(ModelError, match="cannot read config"):
        load_model(folder)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda _: b"", lambda _: b"x" * 99])
def test_corrupt_weights(folder, damage):
    path = folder / WEIGHTS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match="corrupt"):
        load_model(folder)


def test_weights_that_are_no_numbers(folder):
    weights = load_file(folder / WEIGHTS)
    first = min(weights)
    for change, said in ((lambda w: w * float("nan"), "NaN"), (lambda w: w.int(), "another type")):
        save_file(weights | {first: change(weights[first])}, folder / WEIGHTS)
        with pytest.raises(ModelError, match=f"is corrupt: {said}.* in {first}"):
            load_model(folder)


def test_metrics_that_nest_without_end(folder):
    (folder / METRICS).write_text("[" * 100_000)
    with pytest.raises(ModelError, match="cannot read"):
        metrics(folder)


def test_weights_of_another_network(folder):
    other = Config(model=ModelConfig(**{**MODEL, "start_maps": 16}))
    (folder / CONFIG).write_text(to_toml(other))
    with pytest.raises(ModelError, match=r"do not fit.*expected .* found"):
        load_model(folder)


def test_unknown_key_in_the_stored_config(folder):
    (folder / CONFIG).write_text("[model]\nstart_map = 8\n")
    with pytest.raises(ModelError, match=r"did you mean 'model\.unet\.start_maps'"):
        load_model(folder)


def test_weights_of_half_the_size_load_as_float32(folder):
    whole = load_model(folder)
    (folder / WEIGHTS).write_bytes(weights_bytes(whole, torch.float16))
    half = load_model(folder)
    assert all(p.dtype == torch.float32 for p in half.parameters())
    torch.manual_seed(0)
    mixture = torch.randn(1, 4000)
    expected, found = whole(mixture), half(mixture)
    error = (found - expected).square().sum() / expected.square().sum()
    assert 0 < error < 1e-4
