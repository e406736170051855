"""Complex batch norm: against another library, and by what must hold."""

import pytest
import torch
import torchcvnn.nn as torchcvnn

from cplxsep.nn.complex_norm.batchnorm import ComplexBatchNorm
from cplxsep.nn.complex_norm.statement import EPS
from cplxsep.nn.pairs import from_complex, to_complex

MAPS = 3


def norms():
    """Ours and torchcvnn's with the same random weights."""
    torch.manual_seed(0)
    ours, theirs = ComplexBatchNorm(MAPS), torchcvnn.BatchNorm2d(MAPS, eps=EPS, momentum=0.1)
    with torch.no_grad():
        ours.gain += 0.3 * torch.randn(3, MAPS)
        ours.bias.normal_()
        theirs.weight.copy_(ours.gain[[0, 1, 1, 2]].T.unflatten(1, (2, 2)))
        theirs.bias.copy_(torch.complex(*ours.bias))
    return ours, theirs


def values(seed, shape=(4, MAPS, 33, 40)):
    """Correlated, off-centre complex values."""
    torch.manual_seed(seed)
    real = torch.randn(shape)
    return torch.complex(2 * real + 1, 0.5 * torch.randn(shape) + real - 3)


def close(mine, theirs, tolerance=1e-3):
    """torchcvnn divides the covariance by n - 1: 5280 values to a channel here."""
    torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def test_training_running_statistics_and_evaluation_are_those_of_torchcvnn():
    ours, theirs = norms()
    for seed in range(5):
        batch = values(seed)
        close(to_complex(ours(from_complex(batch))), theirs(batch))
    close(torch.complex(*ours.running_mean), theirs.running_mean)
    close(ours.running_covariance[[0, 1, 1, 2]].T.unflatten(1, (2, 2)), theirs.running_var)
    ours.eval()
    theirs.eval()
    batch = values(7)
    close(to_complex(ours(from_complex(batch))), theirs(batch))


def test_fresh_running_statistics_are_those_of_the_paper():
    norm = ComplexBatchNorm(1)
    assert norm.running_mean.tolist() == [[0], [0]]
    torch.testing.assert_close(norm.running_covariance[:, 0], torch.tensor([0.5**0.5, 0, 0.5**0.5]))


def test_what_comes_out_is_white_over_the_batch():
    norm = ComplexBatchNorm(MAPS)
    out = to_complex(norm(from_complex(values(0)))).transpose(0, 1).flatten(1)
    torch.testing.assert_close(out.mean(1).abs(), torch.zeros(MAPS), atol=1e-4, rtol=0)
    stacked = torch.stack([out.real, out.imag], 1)
    for row in stacked:
        torch.testing.assert_close(torch.cov(row), 0.5 * torch.eye(2), atol=1e-3, rtol=0)


def test_examples_share_statistics_in_training_only():
    norm, batch = ComplexBatchNorm(MAPS), from_complex(values(0))
    assert not torch.allclose(norm(batch)[:1], norm(batch[:1]), atol=1e-3)
    norm.eval()
    torch.testing.assert_close(norm(batch)[:1], norm(batch[:1]))


def test_evaluation_leaves_the_statistics():
    norm = ComplexBatchNorm(MAPS).eval()
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    norm(from_complex(values(0)))
    assert before
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_gradients(training, relu):
    torch.manual_seed(0)
    norm = ComplexBatchNorm(2, relu=relu).double().train(training)
    torch.nn.init.normal_(norm.bias)
    maps = torch.randn(2, 4, 3, 2).double().requires_grad_()
    inputs = (maps, norm.gain, norm.bias)
    assert torch.autograd.gradcheck(lambda x, *_: norm(x), inputs)


@pytest.mark.parametrize("training", [True, False])
def test_crelu_in_the_same_pass(training):
    plain, relu = ComplexBatchNorm(MAPS).train(training), ComplexBatchNorm(MAPS, relu=True)
    maps = from_complex(values(0))
    torch.testing.assert_close(relu.train(training)(maps), plain(maps).relu())
