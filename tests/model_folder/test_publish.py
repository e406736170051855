"""Model folders as a run leaves them: complete or absent, for any name, in either precision."""

from cplxsep.config import Config, DataConfig, ModelConfig, read_config
from cplxsep.model_folder import publish
from cplxsep.model_folder.contents import WEIGHTS
from cplxsep.model_folder.load import load_model
from cplxsep.networks.model import SeparationModel
from cplxsep.training.log import Board
from cplxsep.training.progress import Progress


def test_names_that_are_no_valid_text(tmp_path):
    """Regression: a manifest or folder with such a name ended a run at its first validation."""
    config = Config(data=DataConfig(speech="sp\udcffeech.csv"), model=ModelConfig(start_maps=4))
    folder = tmp_path / "r\udcffn" / "model"
    publish.publish(folder, SeparationModel(config.model), config, Progress().facts())
    assert read_config(folder / "config.toml").data.speech == "sp?eech.csv"
    assert (folder / "README.md").read_text().startswith("# r?n\n")
    board = Board(folder.parent)
    board.add(1, {"loss": 2.0})
    board.close()


def test_a_model_is_published_in_float16_where_that_is_wanted(tmp_path):
    sizes = []
    for weights in ("float32", "float16"):
        config = Config(model={"start_maps": 8}, train={"weights": weights})
        folder = tmp_path / weights / "model"
        publish.publish(folder, SeparationModel(config.model), config, Progress().facts())
        sizes.append((folder / WEIGHTS).stat().st_size)
        assert load_model(folder).config == config.model
    assert sizes[1] < 0.6 * sizes[0]


def test_a_kill_while_publishing_loses_no_model(tmp_path):
    """The old model is aside and the new one half-written: the old one comes back."""
    model = tmp_path / "model"
    for name in (".model.old", ".model.new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which").write_text(name)
    publish.recover(model)
    assert (model / "which").read_text() == ".model.old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_dual_path_model_comes_back_at_its_rates_and_its_card_names_them(tmp_path):
    shape = {"outer": 8, "channels": (16,), "blocks": (1,), "states": 8}
    model = {"network": "dual-path", "rates": (8000, 16000), "dual_path": shape}
    config = Config(model={**model, "level": "network"})
    folder = tmp_path / "run" / "model"
    publish.publish(folder, SeparationModel(config.model), config, Progress().facts())
    assert read_config(folder / "config.toml") == config
    assert load_model(folder).at(16000).sample_rate == 16000
    card = (folder / "README.md").read_text()
    assert "Separates 2 talkers at 8000 or 16000 Hz;" in card
    assert "the paper's text" not in card
