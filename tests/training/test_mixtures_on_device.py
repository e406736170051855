"""Training on mixtures that are made on the device."""

import pytest
import torch

from cplxsep.config import read_config
from cplxsep.data.on_device.choose import on_device
from cplxsep.training import checkpoint, run


def trained(config, folder, steps, device="cpu"):
    """The checkpoint of a run up to a step, and what it said."""
    said = []
    options = run.Options(folder, device=device, max_steps=steps)
    run.train(read_config(config), options, None, said.append)
    return checkpoint.load(folder / checkpoint.NAME), said


def test_a_resumed_run_goes_on_exactly(tiny_config, tmp_path, monkeypatch):
    """Also from a step amid those whose mixtures are made at once."""
    monkeypatch.setattr(
        run, "bring", lambda sets, _batch, device, _say: [on_device(one, device) for one in sets]
    )
    whole, _ = trained(tiny_config, tmp_path / "whole", 7)
    trained(tiny_config, tmp_path / "parts", 3)
    parts, _ = trained(tiny_config, tmp_path / "parts", 7)
    assert whole["step"] == parts["step"] == 7
    for name, value in whole["model"].items():
        assert torch.equal(value, parts["model"][name]), name


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_they_are_made_there_and_that_is_said(tiny_config, tmp_path):
    saved, said = trained(tiny_config, tmp_path / "run", 4, "cuda")
    assert saved["step"] == 4
    assert any("mixtures are made on the device" in line for line in said)
