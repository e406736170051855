"""The dual-path network is the prototype's: with its weights it gives what that gave."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cplxsep.config import ModelConfig
from cplxsep.networks.model import SeparationModel

PROTOTYPE = Path(__file__).resolve().parents[3] / "shared" / "gpu"
PARTS = ("local", "bands", "frames")  # of a block, in the prototype's one list


def renamed(name: str) -> str:
    """Our name of a prototype's tensor."""
    parts = name.split(".")
    if parts[0] == "first":
        block, part = divmod(int(parts[1]), len(PARTS))
        parts[:2] = ["level", "blocks", str(block), PARTS[part]]
    if parts[0] == "last_norm":
        parts[0] = "norm"
    if len(parts) > 1 and parts[-2] in ("norm", "head_norm"):
        parts[-1] = {"w": "gain", "b": "bias"}[parts[-1]]
    elif parts[-1] == "w":
        parts[-1] = "weight"
    return ".".join(["network", *parts])


@torch.inference_mode()
def test_with_the_start_weights_it_gives_what_they_gave():
    weights = PROTOTYPE / "start-8k.safetensors"
    if not weights.is_file():
        pytest.skip("the prototype's weights (../shared/gpu) are not here")
    model = SeparationModel(ModelConfig(network="dual-path", level="network")).eval()
    given = load_file(weights)
    model.load_state_dict({renamed(name): tensor.float() for name, tensor in given.items()})
    with np.load(PROTOTYPE / "start-8k-check.npz") as known:
        mixture, sources = known["mixture"], known["sources"]
    found = model(torch.from_numpy(mixture)).numpy()
    np.testing.assert_allclose(found, sources, rtol=0, atol=1e-5)
    assert np.abs(sources).max() > 0.1
