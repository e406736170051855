"""Properties of the optimisers, and one line where a package is missing."""

import copy
import math
import sys

import pytest
import torch

from cplxsep.config import ModelConfig, OptimConfig
from cplxsep.errors import UsageError
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.conv import ComplexConv2d
from cplxsep.training.complex_adam import ComplexAdamW
from cplxsep.training.matrices import matrices
from cplxsep.training.optim import Optimizers, build_optimizers
from cplxsep.training.state import RunState


def complex_steps(optimizer, layer, gradients):
    """Steps of the layer's complex kernel, one for each complex gradient."""
    steps = []
    for gradient in gradients:
        before = torch.complex(layer.weight_real, layer.weight_imag).detach().clone()
        layer.weight_real.grad, layer.weight_imag.grad = (
            gradient.real.clone(),
            gradient.imag.clone(),
        )
        optimizer.step()
        steps.append(torch.complex(layer.weight_real, layer.weight_imag).detach() - before)
    return torch.stack(steps)


def a_layer():
    torch.manual_seed(0)
    return ComplexConv2d(3, 4, 3).double()


@pytest.mark.parametrize("phase", [0.3, math.pi / 2, 2.0])
def test_turning_gradients_turns_the_steps(phase):
    """Exactly, for complex-adamw; plain AdamW does so for quarter turns alone."""
    torch.manual_seed(1)
    gradients = torch.randn(5, 4, 3, 3, 3, dtype=torch.complex128)
    turn = complex(math.cos(phase), math.sin(phase))
    makers = {
        "complex": lambda layer: ComplexAdamW(layer.named_parameters(), 1e-2, (0.9, 0.98), 0.0),
        "plain": lambda layer: torch.optim.AdamW(layer.parameters(), 1e-2, weight_decay=0.0),
    }
    error = {}
    for name, make in makers.items():
        layers = a_layer(), a_layer()
        straight = complex_steps(make(layers[0]), layers[0], gradients)
        turned = complex_steps(make(layers[1]), layers[1], turn * gradients)
        error[name] = ((turned - turn * straight).abs().max() / straight.abs().max()).item()
    assert error["complex"] < 1e-9
    assert (error["plain"] > 0.1) == (phase != math.pi / 2)


def test_the_first_step_of_a_complex_weight_has_modulus_lr():
    layer = a_layer()
    gradient = torch.randn(1, 4, 3, 3, 3, dtype=torch.complex128)
    steps = complex_steps(
        ComplexAdamW(layer.named_parameters(), 1e-2, (0.9, 0.98), 0.0), layer, gradient
    )
    torch.testing.assert_close(steps.abs(), torch.full_like(steps.abs(), 1e-2), rtol=1e-6, atol=0)


def test_the_rest_gets_the_steps_of_adamw():
    """A kernel that is no complex pair, with decay, and a bias, without."""
    torch.manual_seed(0)
    mine, theirs = torch.nn.Conv2d(2, 3, 3), torch.nn.Conv2d(2, 3, 3)
    theirs.load_state_dict(mine.state_dict())
    own = ComplexAdamW(mine.named_parameters(), 1e-2, (0.9, 0.98), 0.1)
    oracle = torch.optim.AdamW(
        [{"params": [theirs.weight]}, {"params": [theirs.bias], "weight_decay": 0.0}],
        1e-2,
        (0.9, 0.98),
        weight_decay=0.1,
    )
    for _ in range(4):
        maps = torch.randn(1, 2, 8, 8)
        for layer, optimizer in ((mine, own), (theirs, oracle)):
            optimizer.zero_grad()
            layer(maps).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(mine.weight, theirs.weight)
    torch.testing.assert_close(mine.bias, theirs.bias)


def test_complex_adamw_is_not_for_the_real_network():
    model = SeparationModel(ModelConfig(network="real", start_maps=4, levels=1))
    with pytest.raises(UsageError, match="needs a complex network"):
        build_optimizers(model, OptimConfig(optimizer="complex-adamw"))


@pytest.mark.parametrize(
    ("name", "module", "settings"),
    [
        ("schedulefree", "schedulefree", {"schedule": "constant"}),
        ("prodigy", "prodigyopt", {"lr": 1.0}),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(monkeypatch, name, module, settings):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as caught:
        build_optimizers(torch.nn.Linear(2, 2), OptimConfig(optimizer=name, **settings))
    assert "pip install 'cplxsep[train]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_schedule_free_validates_its_average_and_comes_back_to_the_bit():
    pytest.importorskip("schedulefree")
    torch.manual_seed(0)
    model = torch.nn.Conv2d(2, 2, 3)
    config = OptimConfig(optimizer="schedulefree", schedule="constant", lr=0.1, ema=0.0)
    state = RunState(model, config)
    optimizer = state.optimizers
    optimizer.set_mode(training=True)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(1, 2, 8, 8)).square().sum().backward()
        optimizer.step()
    training = model.weight.detach().clone()
    with state.evaluating():
        used = model.weight.detach().clone()
        assert not model.training
    # In training the weights are 0.9 of the average and 0.1 of the fast ones (betas[0] = 0.9).
    fast = optimizer.parts["schedulefree"].state[model.weight]["z"]
    torch.testing.assert_close(training, 0.9 * used + 0.1 * fast)
    assert not torch.equal(training, used)
    assert torch.equal(model.weight, training)
    assert model.training


def test_the_running_average_is_in_use_inside_and_training_goes_on_as_before():
    torch.manual_seed(0)
    model = torch.nn.Conv2d(2, 2, 3)
    state = RunState(model, OptimConfig(ema=0.9))
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    state.average.update(model, 10_000)
    training = model.weight.detach().clone()
    with state.evaluating():
        torch.testing.assert_close(model.weight.detach(), start + 0.1)
    assert torch.equal(model.weight, training)


def stored_before(name, model, config):
    """What a checkpoint had of an optimiser before `Optimizers`, and a step of that optimiser."""
    kernels, others = matrices(model.named_parameters())
    if name == "adamw":
        groups = [{"params": kernels, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        plain = torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
        return plain.state_dict, plain.step
    flat = [torch.nn.Parameter(kernel.detach().flatten(1)) for kernel in kernels]
    options = {"momentum": config.momentum, "adjust_lr_fn": "match_rms_adamw"}
    muon = torch.optim.Muon(flat, lr=5 * config.lr, weight_decay=0.1 / 5, **options)
    adamw = torch.optim.AdamW(others, config.lr, config.betas, weight_decay=0.0, fused=True)

    def step():
        for kernel, matrix in zip(kernels, flat, strict=True):
            matrix.grad = kernel.grad.flatten(1)
        muon.step()
        adamw.step()

    return lambda: {"muon": muon.state_dict(), "adamw": adamw.state_dict()}, step


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_older_checkpoint_goes_on(name):
    """To the bit, but for Muon's products, then in bfloat16; and one of now is stored as before."""
    config = OptimConfig(optimizer=name, lr=0.01, weight_decay=0.1)
    torch.manual_seed(0)
    before = torch.nn.Conv2d(2, 3, 3)
    state, step = stored_before(name, before, config)
    for _ in range(2):
        before.weight.grad, before.bias.grad = torch.randn(3, 2, 3, 3), torch.randn(3)
        step()
    now = copy.deepcopy(before)
    optimizers = build_optimizers(now, config)
    optimizers.restore(copy.deepcopy(state()))
    optimizers.set_lr(config.lr)
    for model, update in ((before, step), (now, optimizers.step)):
        model.weight.grad, model.bias.grad = torch.ones(3, 2, 3, 3), torch.ones(3)
        update()
    torch.testing.assert_close(before.weight, now.weight, rtol=0, atol=1e-3 * (name == "muon"))
    assert torch.equal(before.bias, now.bias)
    assert str(optimizers.state_dict()) == str(state())


def test_each_group_has_its_factor_of_the_learning_rate():
    slow, fast, alone = (torch.nn.Parameter(torch.zeros(1)) for _ in range(3))
    parts = {
        "two": torch.optim.SGD([{"params": [slow]}, {"params": [fast]}], lr=1.0),
        "one": torch.optim.SGD([alone], lr=1.0),
    }
    optimizers = Optimizers(parts, {"two": [0.5, 4.0]})
    optimizers.set_lr(0.1)
    for parameter in (slow, fast, alone):
        parameter.grad = torch.ones(1)
    optimizers.step()
    assert [p.item() for p in (slow, fast, alone)] == pytest.approx([-0.05, -0.4, -0.1])
    optimizers.zero_grad()
    assert all(p.grad is None for p in (slow, fast, alone))
