"""Triton is optional: only forms for a GPU need it, and nothing imports it on a CPU."""

import subprocess
import sys

import torch

from cplxsep.nn import backends
from cplxsep.nn.recurrence import RECURRENCE

WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None  # as where it is not installed
import torch
from cplxsep.config import ModelConfig
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
assert not backends.triton_works(torch.device("cuda", 0))
shape = {"outer": 8, "channels": [8], "blocks": [1], "states": 4}
model = SeparationModel(ModelConfig(network="dual-path", dual_path=shape))
assert model(torch.randn(1, 1000)).isfinite().all()
"""


def test_maps_of_a_cpu_have_no_form_of_triton():
    backends.disable()  # what another test of this process may have left on
    before = set(sys.modules)
    assert RECURRENCE.form(torch.zeros(1, 1, 1, 6)) is RECURRENCE.statement
    assert "triton" not in set(sys.modules) - before


def test_the_network_runs_where_triton_is_missing():
    command = [sys.executable, "-c", WITHOUT_TRITON]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
