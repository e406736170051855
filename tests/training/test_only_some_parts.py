"""Training of some parts of a network, the others as they were (`optim.only`)."""

import copy

import pytest
import torch

from cplxsep.config import ModelConfig, OptimConfig
from cplxsep.errors import UsageError
from cplxsep.networks.model import SeparationModel
from cplxsep.training.optim import build_optimizers
from cplxsep.training.state import RunState

SHAPE = {"outer": 8, "channels": [12], "blocks": [2], "states": 4}
OPTIMISERS = {
    "adamw": {},
    "muon": {},
    "sgd": {},
    "complex-adamw": {},
    "schedulefree": {"schedule": "constant"},
    "prodigy": {"lr": 1.0},
}


def dual_path(linearity="real"):
    torch.manual_seed(0)
    values = {"network": "dual-path", "window": 64, "hop": 32, "level": "network"}
    values["dual_path"] = SHAPE | {"linearity": linearity}
    return SeparationModel(ModelConfig.model_validate(values))


def stepped(model, config):
    """Names of the parameters that two steps change."""
    optimizers = build_optimizers(model, config)
    optimizers.set_mode(training=True)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for _ in range(2):
        optimizers.zero_grad()
        model(torch.randn(2, 992)).square().mean().backward()
        optimizers.step()
    return {
        name for name, value in model.named_parameters() if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_only_the_named_parts_change(optimiser):
    package = {"schedulefree": "schedulefree", "prodigy": "prodigyopt"}.get(optimiser)
    if package:
        pytest.importorskip(package)
    only = ("head", "level.blocks.1", "decode")
    config = OptimConfig(optimizer=optimiser, only=only, **OPTIMISERS[optimiser])
    model = dual_path("complex" if optimiser == "complex-adamw" else "real")
    names = {name for name, _ in model.named_parameters()}
    wanted = {name for name in names if name.startswith(tuple(f"network.{p}." for p in only))}
    assert wanted
    assert stepped(model, config) == wanted


@pytest.mark.parametrize("part", ["head", "head_bias"])
def test_muon_without_matrices_or_without_the_rest(part):
    """`head` is one kernel, which has no norm and no bias; `head_bias` is no kernel."""
    found = stepped(dual_path(), OptimConfig(optimizer="muon", only=(part,)))
    assert found == {"network.head.weight" if part == "head" else "network.head_bias"}


def test_a_part_is_named_as_a_whole():
    """`head` is neither `head_bias` nor `head_norm`; what there is none of is one line."""
    with pytest.raises(UsageError, match="the network has no part 'hea'; it has: ") as caught:
        build_optimizers(dual_path(), OptimConfig(only=("head", "hea")))
    assert "stem, encode, widen, level, " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_some_parts_goes_on():
    config = OptimConfig(optimizer="muon", only=("head_norm", "head"))
    runs = RunState(dual_path(), config), RunState(dual_path(), config)
    sounds = torch.randn(2, 2, 992)

    def step(state, sound):
        state.optimizers.zero_grad()
        state.model(sound).square().mean().backward()
        state.optimizers.step()

    step(runs[0], sounds[0])
    runs[1].model.load_state_dict(runs[0].model.state_dict())
    runs[1].optimizers.restore(copy.deepcopy(runs[0].optimizers.state_dict()))
    for state in runs:
        step(state, sounds[1])
    for one, other in zip(*(state.model.parameters() for state in runs), strict=True):
        assert torch.equal(one, other)
