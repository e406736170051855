"""What is compiled while torch is imported: the very code that the inference form loads."""

from typing import get_args

import pytest
import torch
from native_code import needs_compiler

from cplxsep.config import ModelConfig
from cplxsep.engine.compile_ahead import LIBRARIES
from cplxsep.engine.fused.choice import choose
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.native import build


@pytest.mark.parametrize("network", get_args(ModelConfig.model_fields["network"].annotation))
def test_each_network_loads_what_was_compiled_ahead_for_it_and_no_more(network, monkeypatch):
    needs_compiler()
    loaded, library = [], build.library
    monkeypatch.setattr(build, "library", lambda name: loaded.append(name) or library(name))
    choose(SeparationModel(ModelConfig(network=network)).eval(), torch.device("cpu"), None)
    assert loaded == [name for known, name in LIBRARIES.items() if known == network]
