import pytest
import torch

from cplxsep.errors import ModelError
from cplxsep.model_folder import catalogue
from cplxsep.model_folder.contents import WEIGHTS
from cplxsep.model_folder.voices import FOLDER, load_voices


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Where the shipped models are looked for, for the time of a test."""
    load_voices.cache_clear()
    monkeypatch.setattr(catalogue, "root", lambda: tmp_path)
    yield tmp_path / FOLDER
    load_voices.cache_clear()


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_weights_that_cannot_be_read_are_told_in_one_line(elsewhere, content):
    if content is not None:
        elsewhere.mkdir()
        (elsewhere / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelError, match=rf"cannot read .*{WEIGHTS}: .*install") as told:
        load_voices(torch.device("cpu"))
    assert "\n" not in str(told.value)


def test_it_is_no_model_to_separate_with():
    assert FOLDER not in catalogue.names()
    assert load_voices(torch.device("cpu")) is load_voices(torch.device("cpu"))
