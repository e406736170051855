"""Configuration: TOML in and out, overrides, one clear line for each mistake."""

import pytest

from cplxsep.config import Config, read_config, to_toml
from cplxsep.errors import UsageError


def write(tmp_path, text):
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_what_is_written_reads_back_the_same(tmp_path):
    config = read_config(write(tmp_path, "[data]\nspeech = 'a \"b\" \\\\ c'\nsnr = [-3, 2.5]\n"))
    assert read_config(write(tmp_path, to_toml(config))) == config


def test_no_speed_change_survives_a_round_trip(tmp_path):
    config = read_config(write(tmp_path, "[data]\nspeed = [1.0, 1.0]\n"))
    assert read_config(write(tmp_path, to_toml(config))).data.speed == (1.0, 1.0)


def test_overrides_are_toml_values_or_bare_words(tmp_path):
    path = write(tmp_path, "[model]\nstart_maps = 8\n")
    config = read_config(
        path,
        ["model.start_maps=16", "train.loss=csim", "data.snr=[1,2]", "model.drop_nyquist=true"],
    )
    assert (config.model.start_maps, config.train.loss) == (16, "csim")
    assert config.data.snr == (1, 2)
    assert config.model.drop_nyquist


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("[model]\nstart_map = 8", [], r"unknown key 'model.start_map'; did you mean 'start_maps'"),
        ("[modle]\nx = 8", [], r"unknown key 'modle'; did you mean 'model'"),
        ("[train]\nloss = 'mse'", [], r"'train.loss': .*si-sdr.*is 'mse'"),
        ("[train]\nbatch = 0", [], r"'train.batch': .*greater than or equal to 1.*is 0"),
        ("[data]\nsnr = [5, 0]", [], r"snr must be \[low, high\]"),
        ("[model]\nhop = 200", [], "hop must be at most half the window"),
        ("[model]\nnetwork='real'\ntransformations=2", [], "real network has no extractor"),
        ("[optim]\nschedule = 'paper'", [], "for optimizer sgd only"),
        ("[optim]\nbetas = [0.9, 1.0]", [], r"'optim.betas.1': .*less than 1"),
        ("[train]\nseed = -3", [], "'train.seed'"),
        ("[data]\nspeed = [0, 1]", [], "'data.speed.0'"),
        ("[data]\ngain = [-inf, 0]", [], "'data.gain.0'"),
        ("[data]\nsnr = [nan, nan]", [], "'data.snr.0'"),
        ("nonsense", [], "not valid TOML"),
        ("", ["model.start_maps"], "section.key=value"),
        ("", ["model.nothing=1"], "unknown key 'model.nothing'; known: "),
    ],
)
def test_mistakes_name_file_and_key(tmp_path, text, changes, message):
    with pytest.raises(UsageError, match=message) as caught:
        read_config(write(tmp_path, text), changes)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_config(tmp_path / "none.toml")


def test_defaults_are_valid():
    assert Config().model.sources == 2
