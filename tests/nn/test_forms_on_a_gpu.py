"""Operators and whole networks on a CUDA device beside themselves on the CPU."""

import copy

import pytest
import torch

from cplxsep.config import DualPathConfig, ModelConfig
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.nn.between_convolutions import BETWEEN, NormWeights
from cplxsep.nn.complex_norm import normalise
from cplxsep.nn.position_norm import residual_norm
from cplxsep.nn.position_norm.statement import statement
from cplxsep.nn.recurrence import continued, recurrence
from cplxsep.nn.recurrence.doubling import doubling
from cplxsep.nn.recurrence.statement import loop
from cplxsep.nn.stft import STFT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
TOLERANCE = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}
ALONG = ["bands", "frames", "past frames"]


@pytest.fixture(autouse=True)
def plain_afterwards():
    torch.manual_seed(0)
    yield
    backends.disable()


def assert_near(found, expected, tolerance):
    """Within a fraction of the largest value, wherever they lie."""
    largest = expected.abs().max().item()
    atol = tolerance * max(largest, 1e-30)
    torch.testing.assert_close(found.double().cpu(), expected.double().cpu(), rtol=0, atol=atol)


@pytest.mark.parametrize("along", ALONG)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 16, 2001, 64), (5, 3, 33, 20), (2, 64, 1, 64), (1, 1, 9, 1)])
def test_the_recurrence_in_every_type(along, dtype, shape):
    *positions, states = shape
    maps = torch.randn(*positions, 6 * states).to(dtype)
    given = (maps, torch.randn(6 * states), torch.randn(2, states))
    found = recurrence(*(part.cuda() for part in given), along)
    assert found.dtype == dtype
    assert_near(found, doubling(*(part.double() for part in given), along), TOLERANCE[dtype])


@pytest.mark.parametrize("along", ALONG)
def test_the_recurrence_of_a_layout_that_is_not_contiguous(along):
    maps = torch.randn(3, 7, 5, 6 * 16)
    given = (torch.randn(6 * 16), torch.randn(2, 16))
    there = maps.cuda().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    here = maps.clone().requires_grad_()
    weight = torch.randn(3, 7, 5, 4 * 16)
    for form, part, to in ((recurrence, there, "cuda"), (loop, here, "cpu")):
        states = form(part, *(one.to(to) for one in given), along)
        (states * weight.to(to)).sum().backward()
    assert_near(there.grad, here.grad, 1e-5)


def test_a_signal_in_blocks_goes_on():
    maps, given = torch.randn(1, 4, 30, 6 * 8), (torch.randn(6 * 8), torch.randn(2, 8))
    expected = loop(maps, *given, "past frames")
    there, last, parts = [part.cuda() for part in (maps, *given)], None, []
    for begin in range(0, 30, 7):
        parts.append(continued(there[0][:, :, begin : begin + 7], *there[1:], last))
        last = parts[-1][:, :, -1:]
    assert_near(torch.cat(parts, dim=2), expected, 1e-5)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(2, 32, 501, 96), (1, 3, 5, 32), (1, 1, 1, 7), (4, 2, 3, 300)])
def test_the_norm_of_a_position_in_every_type(dtype, shape):
    maps = (3 * torch.randn(shape) + 1).to(dtype)
    given = (maps, torch.randn(shape[-1]), torch.randn(shape[-1]))
    through, normed = residual_norm(*(part.cuda() for part in given))
    assert torch.equal(through.cpu(), maps)
    assert_near(normed, statement(*(part.double() for part in given))[1], TOLERANCE[dtype])


def test_kernels_in_a_graph_work_on_what_it_is_given_next():
    static = torch.randn(2, 8, 20, 6 * 16, device="cuda")
    rest = (torch.randn(6 * 16, device="cuda"), torch.randn(2, 16, device="cuda"))
    gain, bias = torch.randn(2, 64, device="cuda")

    def work(maps):
        return residual_norm(recurrence(maps, *rest, "frames"), gain, bias)[1]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), torch.no_grad():
        work(static)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), torch.cuda.graph(graph):
        found = work(static)
    for _ in range(3):
        maps = torch.randn_like(static)
        static.copy_(maps)
        graph.replay()
        with torch.no_grad():
            assert torch.equal(found, work(maps))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layer", [False, True])
def test_what_is_between_convolutions(dtype, layer):
    maps, skip = torch.randn(2, 6, 10, 16).to(dtype), torch.randn(2, 12, 20, 16).to(dtype)
    gain, bias = torch.randn(3, 16), torch.randn(2, 16)
    results = []
    for to, wide in (("cuda", dtype), ("cpu", torch.float64)):
        form = BETWEEN.on(torch.device(to), wide)
        a, b = maps.to(to, wide), skip.to(to, wide)
        g, o = gain.to(to), bias.to(to)
        stats = form.statistics(a)
        joined = (form.statistics(b), form.upsampled_statistics(a))
        norm = NormWeights(g[:, :8], o[:, :8], layer)
        results.append(
            [
                form.normalise(a, stats, norm, 1, False),
                form.normalise(a, stats, norm, 2, False),
                form.normalise_joined(b, a, joined, NormWeights(g, o, layer), False),
                form.shuffle(a, 2),
                form.add(a.clone(), a),
            ]
        )
    for found, expected in zip(*results, strict=True):
        assert_near(found, expected, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("enabled", [False, True])
def test_the_complex_norm_and_its_gradients(dtype, enabled):
    """Where torch.compile fails, training says so in one line and goes on."""
    if enabled:
        why = backends.enable("cuda")
        assert why is None or "\n" not in why
    rows = torch.randn(3, 40, 2 * 8).to(dtype)
    given = (rows, torch.randn(3, 8), torch.randn(2, 8))
    weight, results = torch.randn(3, 40, 2 * 8), []
    for to, wide in (("cuda", None), ("cpu", torch.float64)):
        parts = [part.detach().to(to, wide or part.dtype).requires_grad_() for part in given]
        out = normalise(*parts, "channel", True)
        (out * weight.to(out)).sum().backward()
        results.append([out.detach(), *(part.grad for part in parts)])
    for found, expected in zip(*results, strict=True):
        assert_near(found, expected, 3 * TOLERANCE[dtype])


@pytest.mark.parametrize("sizes", [(128, "reflect"), (128, "zeros"), (64, "zeros", 2)])
def test_the_stft_and_back(sizes):
    audio = torch.randn(2, 3001)
    here, there = STFT(256, *sizes), STFT(256, *sizes).cuda()
    maps = there(audio.cuda())
    assert_near(maps, here(audio), 1e-5)
    assert_near(there.inverse(maps, 3001)[:, 0], audio, 1e-5)


NETWORKS = {
    "dual-path": ModelConfig(
        network="dual-path",
        level="network",
        dual_path=DualPathConfig(outer=8, channels=(16, 16), blocks=(2, 1), states=8, heads=2),
    ),
    "causal": ModelConfig(
        network="dual-path",
        level="network",
        dual_path=DualPathConfig(outer=8, channels=(16,), blocks=(2,), states=8, causal=True),
    ),
    "half hop": ModelConfig(
        network="dual-path",
        level="network",
        dual_path=DualPathConfig(outer=8, channels=(16,), blocks=(2,), states=8, half_hop=True),
    ),
    "u-net": ModelConfig(start_maps=4, levels=2, transformations=2),
    "conv-tasnet": ModelConfig(
        network="conv-tasnet",
        tasnet={"filters": 16, "bottleneck": 16, "hidden": 16, "layers": 2, "stacks": 1},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_and_their_gradients(name):
    here = SeparationModel(NETWORKS[name]).double()
    there = copy.deepcopy(here).float().cuda()
    mixture, weight = torch.randn(2, 3000), torch.randn(2, 2, 3000)
    vectors, audio = [], []
    for model, to in ((there, "cuda"), (here, "cpu")):
        dtype = next(model.parameters()).dtype
        found = model(mixture.to(to, dtype))
        (found * weight.to(to, dtype)).sum().backward()
        audio.append(found.detach().double().cpu())
        parts = [p.grad for p in model.parameters() if p.grad is not None]
        vectors.append(torch.cat([part.double().cpu().flatten() for part in parts]))
    assert (audio[0] - audio[1]).norm() < 1e-3 * audio[1].norm()
    assert (vectors[0] - vectors[1]).norm() < 2e-2 * vectors[1].norm()
