"""Rows of the paper's tables train on prepared mixtures, shrunk in size but not in kind."""

import pytest
import soundfile
from synthetic import babble

from cplxsep.config import shipped
from cplxsep.model_folder.load import load_model
from cplxsep.training import run

SMALLER = ["model.start_maps=4", "model.levels=1", "train.batch=2", "train.steps=2"]
SMALLER += ["data.valid_mixtures=2", 'train.precision="fp32"', "train.compile=false"]


@pytest.fixture(scope="module")
def mixtures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixtures")
    for split in ("tr", "cv"):
        for number in range(3):
            sources = [babble(0.3 + 0.05 * number, 8000, 10 * number + n) for n in range(2)]
            for sub, audio in zip(("mix", "s1", "s2"), (sum(sources), *sources), strict=True):
                file = folder / split / sub / f"{number}.wav"
                file.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(file, audio, 8000, subtype="FLOAT")
    return folder


@pytest.mark.parametrize("family", shipped.CODE)
@pytest.mark.parametrize(
    "row",
    [
        "real-unet-k1-f64-l2freq",
        "complex-unet-k2-f40-c0-costime",
        "complex-unet-k2-f40-c5-l2time",
        "complex-unet-k2-f44-c10-d10-csim",
    ],
)
def test_a_row_trains_and_its_card_says_the_readings(mixtures, tmp_path, family, row):
    config = shipped.load(f"{family}/{row}", [*SMALLER, f"data.mixtures={mixtures}"])
    model = run.train(config, run.Options(folder=tmp_path / "run"), None, lambda _: None)
    assert load_model(model).config == config.model
    card = (model / "README.md").read_text()
    schedule = f"optim.schedule = {'paper-code' if shipped.CODE[family] else 'paper'}"
    assert schedule in card
    assert ("model.extractor.dropout_of" in card) == ("-d10-" in row)
    assert str(mixtures) not in card + (model / "config.toml").read_text()
