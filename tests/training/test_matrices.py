"""Which parameters of each kind of network are matrices: they alone get Muon and weight decay."""

import pytest
import torch

from cplxsep.config import ModelConfig, OptimConfig
from cplxsep.networks.model import SeparationModel
from cplxsep.training.matrices import matrices
from cplxsep.training.optim import build_optimizers

SMALL = {"start_maps": 4, "levels": 1}
TASNET = {f"tasnet_{name}": 4 for name in ("filters", "bottleneck", "hidden")}
TASNET |= {"tasnet_layers": 1, "tasnet_stacks": 1}
DUAL = {"outer": 8, "channels": (16, 16), "blocks": (1, 1), "states": 8}
# For each network its options, and own name and number of dimensions of its matrices.
NETWORKS = {
    "complex": ({**SMALL, "transformations": 1}, {("weight_real", 4), ("weight_imag", 4)}),
    "complex, batch norm": ({**SMALL, "norm": "batch"}, {("weight_real", 4), ("weight_imag", 4)}),
    "real": ({"network": "real", **SMALL}, {("weight", 4)}),
    "conv-tasnet": ({"network": "conv-tasnet", **TASNET}, {("weight", 3)}),
    "dual-path": (
        {"network": "dual-path", "dual_path": {**DUAL, "heads": 2}},
        {("weight", 2), ("weight", 4)},
    ),
    "dual-path, complex-linear": (
        {"network": "dual-path", "dual_path": {**DUAL, "linearity": "complex"}},
        {(name, size) for name in ("weight", "weight_real", "weight_imag") for size in (2, 4)},
    ),
}


def split(network):
    """Own names and dimensions of the matrices and of the rest."""
    named = list(SeparationModel(ModelConfig(**network)).named_parameters())
    names = {id(parameter): name.rpartition(".")[2] for name, parameter in named}
    return [{(names[id(p)], p.dim()) for p in part} for part in matrices(named)]


@pytest.mark.parametrize("kind", NETWORKS)
def test_matrices_of_each_network(kind):
    network, expected = NETWORKS[kind]
    found, rest = split(network)
    assert found == expected
    assert not found & rest
    if kind.startswith("dual-path"):
        assert rest == {("gain", 1), ("bias", 1), ("theta", 2), ("head_bias", 1)}


@pytest.mark.parametrize("kind", ["complex", "complex, batch norm", "real", "conv-tasnet"])
def test_the_groups_of_the_papers_networks_are_what_they_were(kind):
    """States of their optimisers, kept by place in a group, go on."""
    named = list(SeparationModel(ModelConfig(**NETWORKS[kind][0])).named_parameters())
    kernels = [p for _, p in named if p.dim() > 2]
    others = [p for _, p in named if p.dim() <= 2]
    for part, before in zip(matrices(named), (kernels, others), strict=True):
        assert [id(p) for p in part] == [id(p) for p in before]


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "complex-adamw"])
def test_a_linear_map_decays_and_the_angles_of_a_recurrence_do_not(optimizer):
    network = {"network": "dual-path", "dual_path": {**DUAL, "linearity": "complex"}}
    torch.manual_seed(0)
    model = SeparationModel(ModelConfig(**network))
    settings = OptimConfig(optimizer=optimizer, lr=0.1, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    built = build_optimizers(model, settings)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    built.step()
    for name, parameter in model.named_parameters():
        kept = 0.95 if name.rpartition(".")[2].startswith("weight") else 1.0
        torch.testing.assert_close(parameter.detach(), kept * before[name], msg=name)
