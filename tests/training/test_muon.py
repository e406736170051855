"""Updates of Muon against torch's own, and against singular values by themselves."""

import pytest
import torch

from cplxsep.config import OptimConfig
from cplxsep.training.muon import LR, Muon

CONFIG = OptimConfig(optimizer="muon", lr=0.01, weight_decay=0.1, momentum=0.9)
SHAPES = [(4, 6), (9, 3), (2, 3, 3, 3), (4, 6), (5, 5)]  # two of one shape, wide, tall, square


def kernels():
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def give_gradients(parameters, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter, shape in zip(parameters, SHAPES, strict=True):
        parameter.grad = torch.randn(shape, generator=generator).reshape(parameter.shape)


def test_updates_are_those_of_torch():
    """It makes its products in bfloat16, of 8 bits; an update has a root mean square of .2 lr."""
    mine = kernels()
    theirs = [torch.nn.Parameter(kernel.detach().flatten(1).clone()) for kernel in mine]
    own = Muon(mine, CONFIG)
    oracle = torch.optim.Muon(
        theirs, lr=LR * 0.01, weight_decay=0.1 / LR, momentum=0.9, adjust_lr_fn="match_rms_adamw"
    )
    for seed in range(3):
        give_gradients(mine, seed)
        give_gradients(theirs, seed)
        before = [matrix.detach().clone() for matrix in theirs]
        own.step()
        oracle.step()
        for kernel, matrix, old in zip(mine, theirs, before, strict=True):
            step = (matrix - old).norm()
            assert (kernel.flatten(1) - matrix).norm() < 0.05 * step
        torch.testing.assert_close(own.state_dict()["state"], oracle.state_dict()["state"])
        with torch.no_grad():
            for kernel, matrix in zip(mine, theirs, strict=True):
                kernel.copy_(matrix.view_as(kernel))


def test_an_update_keeps_singular_vectors_and_brings_singular_values_near_one():
    """Each value by the same polynomial, found here by a decomposition in float64."""
    (kernel,) = given = [torch.nn.Parameter(torch.zeros(6, 2, 2))]
    own = Muon(given, OptimConfig(optimizer="muon", weight_decay=0.0, momentum=0.0))
    kernel.grad = torch.randn(6, 2, 2, generator=torch.Generator().manual_seed(1))
    u, values, v = torch.linalg.svd(kernel.grad.double().flatten(1), full_matrices=False)
    values /= values.norm()
    a, b, c = own.param_groups[0]["ns_coefficients"]
    for _ in range(own.param_groups[0]["ns_steps"]):
        values = a * values + b * values**3 + c * values**5
    assert 0.5 < values.min() <= values.max() < 1.5
    own.update(1.0)
    expected = -0.2 * 6**0.5 * (u * values) @ v
    torch.testing.assert_close(kernel.flatten(1).double(), expected, rtol=1e-4, atol=1e-5)


def test_a_rate_on_the_device_is_the_same_and_zero_changes_nothing():
    """As a CUDA graph gives them; a NaN is left out without a trace."""
    plain, live = kernels(), kernels()
    by_number, by_tensor = Muon(plain, CONFIG), Muon(live, CONFIG)
    one, none = torch.ones(()), torch.zeros(())
    for seed in range(3):
        give_gradients(plain, seed)
        give_gradients(live, seed)
        by_number.update(0.05)
        by_tensor.update(torch.tensor(0.05), one)
        before = [kernel.detach().clone() for kernel in live]
        for kernel in live:
            kernel.grad = torch.full_like(kernel, torch.nan)
        by_tensor.update(torch.tensor(0.05), none)
        assert all(map(torch.equal, live, before))
    for kernel, other in zip(live, plain, strict=True):
        torch.testing.assert_close(kernel, other)


def test_kernels_without_gradients_stay():
    given = kernels()
    own = Muon(given, CONFIG)
    give_gradients(given, 0)
    given[3].grad = None
    before = [kernel.detach().clone() for kernel in given]
    own.step()
    changed = [not torch.equal(*pair) for pair in zip(given, before, strict=True)]
    assert changed == [True, True, True, False, True]
    assert len(own.state) == 4
    own.zero_grad()
    assert [kernel.grad for kernel in given] == [None] * 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_makes_about_the_same_updates():
    here = kernels()
    there = [torch.nn.Parameter(kernel.detach().cuda()) for kernel in here]
    give_gradients(here, 0)
    for kernel, source in zip(there, here, strict=True):
        kernel.grad = source.grad.cuda()
    for given in (here, there):
        Muon(given, CONFIG).step()
    for ours, theirs, old in zip(here, there, kernels(), strict=True):
        assert (ours - theirs.cpu()).norm() < 0.05 * (ours - old).norm()
