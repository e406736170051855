"""Complex layer norm: against the plain formula, PyTorch's eigenvectors, and another library."""

import pytest
import torch

from cplxsep.errors import Note
from cplxsep.nn import backends
from cplxsep.nn.complex_norm import NORM, ComplexNorm
from cplxsep.nn.complex_norm.compiled import CompiledNorm
from cplxsep.nn.complex_norm.statement import EPS
from cplxsep.nn.native.build import NoCompilerError, library


def plain(maps, gain, bias, relu, scope):
    """The formula of SPEC section 3, written with means and left to autograd."""
    real, imag = maps.chunk(2, dim=1)
    dims = (2, 3) if scope == "channel" else (1, 2, 3)
    real = real - real.mean(dims, keepdim=True)
    imag = imag - imag.mean(dims, keepdim=True)
    a = (real * real).mean(dims, keepdim=True) + EPS
    d = (imag * imag).mean(dims, keepdim=True) + EPS
    c = (real * imag).mean(dims, keepdim=True)
    s = torch.sqrt(a * d - c * c)
    t = torch.sqrt(a + d + 2 * s)
    white_r = ((d + s) * real - c * imag) / (s * t)
    white_i = (-c * real + (a + s) * imag) / (s * t)
    g = gain.view(3, 1, -1, 1, 1)
    b = bias.view(2, 1, -1, 1, 1)
    out = torch.cat(
        [g[0] * white_r + g[1] * white_i + b[0], g[1] * white_r + g[2] * white_i + b[1]], dim=1
    )
    return out.relu() if relu else out


def random_norm(maps, relu, scope):
    norm = ComplexNorm(maps, relu=relu, scope=scope)
    torch.nn.init.normal_(norm.bias, std=0.3)
    with torch.no_grad():
        norm.gain += 0.3 * torch.randn_like(norm.gain)
    return norm


@pytest.fixture
def native_norm():
    try:
        library("complex_norm")
    except NoCompilerError as error:
        pytest.skip(str(error))
    assert backends.enable("cpu") is None
    yield
    backends.disable()


@pytest.mark.parametrize("scope", ["channel", "layer"])
@pytest.mark.parametrize("relu", [False, True])
def test_values_and_gradients_are_those_of_the_formula(scope, relu):
    torch.manual_seed(0)
    norm = random_norm(3, relu, scope).double()
    maps = (torch.randn(2, 6, 5, 4) * 2 + 1).double().requires_grad_()
    inputs = (maps, norm.gain, norm.bias)
    ours, theirs = norm(maps), plain(maps, norm.gain, norm.bias, relu, scope)
    torch.testing.assert_close(ours, theirs)
    weight = torch.randn_like(ours)
    for a, b in zip(
        torch.autograd.grad(ours, inputs, weight),
        torch.autograd.grad(theirs, inputs, weight),
        strict=True,
    ):
        torch.testing.assert_close(a, b)
    assert torch.autograd.gradcheck(norm, maps)


@pytest.mark.parametrize("scope", ["channel", "layer"])
def test_float32_is_the_formula_within_1e_5(scope):
    torch.manual_seed(0)
    norm = random_norm(3, False, scope)
    maps = (torch.randn(2, 6, 32, 30) * 2 + 1).requires_grad_()
    inputs = (maps, norm.gain, norm.bias)
    ours, theirs = norm(maps), plain(maps, norm.gain, norm.bias, False, scope)
    weight = torch.randn_like(ours)
    pairs = zip(
        (ours, *torch.autograd.grad(ours, inputs, weight)),
        (theirs, *torch.autograd.grad(theirs, inputs, weight)),
        strict=True,
    )
    for a, b in pairs:
        assert (a - b).norm() <= 1e-5 * b.norm()


@pytest.mark.parametrize("scope", ["channel", "layer"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("maps", [1, 2, 3, 4, 8, 16, 22, 40])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-3)])
@pytest.mark.usefixtures("native_norm")
def test_compiled_norm_equals_the_eager_one(scope, relu, maps, dtype, tolerance):
    torch.manual_seed(0)
    norm = random_norm(maps, relu, scope)
    # An odd number of positions: few channels are taken several rows at a time.
    values = (torch.randn(3, 2 * maps, 33, 41) * 3 + 1).to(dtype)
    values = values.contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(3, 2 * maps, 33, 41).to(dtype)
    compiled = norm(values)
    backends.disable()
    eager = norm(values)
    # Rounding may put a value on either side of the kink of ReLU.
    weight = weight * ((compiled > 0) == (eager > 0))
    assert (weight == 0).sum() <= 3
    pairs = (
        (out, *torch.autograd.grad(out, (values, norm.gain, norm.bias), weight))
        for out in (compiled, eager)
    )
    for a, b in zip(*pairs, strict=True):
        assert (a.double() - b.double()).norm() <= tolerance * b.double().norm()


@pytest.mark.parametrize("maps", [2, 5])
@pytest.mark.usefixtures("native_norm")
def test_compiled_statistics_are_mean_and_covariance(maps):
    torch.manual_seed(0)
    rows = torch.randn(3, 700, 2 * maps) * 2 + 100
    mean, spread = NORM.form(rows).statistics(rows).split([2, 3])
    real, imag = rows.double().chunk(2, dim=2)
    torch.testing.assert_close(mean.double(), torch.stack([real.mean(1), imag.mean(1)]))
    for b in range(3):
        for c in range(maps):
            pair = torch.stack([real[b, :, c], imag[b, :, c]])
            (rr, ri), (_, ii) = torch.cov(pair, correction=0)
            expected = torch.stack([rr, ri, ii]).float()
            torch.testing.assert_close(spread[:, b, c], expected, rtol=1e-4, atol=1e-3)


@pytest.mark.usefixtures("native_norm")
@pytest.mark.parametrize("maps", [2, 8, 16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_norm_lets_nan_through(maps, dtype):
    norm = ComplexNorm(maps, relu=True)
    values = torch.randn(1, 2 * maps, 4, 4).to(dtype)
    values[0, 3, 2, 2] = float("nan")
    assert norm(values).isnan().any()


@pytest.mark.parametrize("side", [16, 64, 256])
@pytest.mark.usefixtures("native_norm")
def test_compiled_norm_does_not_depend_on_the_number_of_threads(side):
    torch.manual_seed(0)
    norm, values = ComplexNorm(8, relu=True), torch.randn(3, 16, side, side, requires_grad=True)
    threads = torch.get_num_threads()

    def outputs(threads):
        torch.set_num_threads(threads)
        out = norm(values)
        return out, *torch.autograd.grad(out.square().sum(), (values, norm.gain, norm.bias))

    try:
        for a, b in zip(outputs(1), outputs(2), strict=True):
            assert torch.equal(a, b)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.usefixtures("native_norm")
def test_types_that_are_not_compiled_are_left_to_pytorch():
    torch.manual_seed(0)
    norm = random_norm(3, True, "channel").double()
    maps = torch.randn(2, 6, 5, 4).double().requires_grad_()
    assert torch.autograd.gradcheck(norm, maps)


def test_output_is_white_with_variance_one_half_in_each_part():
    torch.manual_seed(0)
    real = torch.randn(1, 1, 200, 200)
    maps = torch.cat([3 * real + 5, real + 0.5 * torch.randn_like(real) - 2], dim=1)
    out = ComplexNorm(1)(maps)[0].flatten(1)
    torch.testing.assert_close(torch.cov(out), 0.5 * torch.eye(2), atol=2e-3, rtol=0)
    torch.testing.assert_close(out.mean(dim=1), torch.zeros(2), atol=1e-4, rtol=0)


def test_whitening_is_the_inverse_root_by_eigenvectors():
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 8, 9).double()
    maps[:, 1] += 0.7 * maps[:, 0]
    parts = maps[0].flatten(1)
    centred = parts - parts.mean(dim=1, keepdim=True)
    cov = centred @ centred.T / parts.shape[1] + EPS * torch.eye(2)
    values, vectors = torch.linalg.eigh(cov)
    expected = 2**-0.5 * (vectors @ torch.diag(values.rsqrt()) @ vectors.T) @ centred
    norm = ComplexNorm(1).double()
    # The gain starts at 1/sqrt(2) in float32.
    torch.testing.assert_close(norm(maps)[0].flatten(1), expected, rtol=1e-6, atol=1e-6)


def test_a_large_mean_does_not_drown_a_small_spread():
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 32, 32)
    far = ComplexNorm(1)(maps.double() + 1000).float()
    torch.testing.assert_close(ComplexNorm(1)(maps + 1000), far, atol=2e-3, rtol=0)


def test_agrees_with_complextorch():
    """Per-channel complex layer norm is their batch norm on one example."""
    complextorch = pytest.importorskip("complextorch")
    torch.manual_seed(0)
    maps = torch.randn(1, 6, 16, 16)
    theirs = complextorch.nn.BatchNorm2d(3, eps=EPS).train()
    out = theirs(torch.complex(*maps.chunk(2, dim=1)))
    expected = torch.cat([out.real, out.imag], dim=1)
    torch.testing.assert_close(ComplexNorm(3)(maps), expected, atol=1e-4, rtol=1e-4)


def test_constant_maps_stay_finite():
    maps = torch.full((2, 4, 8, 8), 3.0, requires_grad=True)
    out = ComplexNorm(2, relu=True)(maps)
    out.sum().backward()
    assert out.isfinite().all()
    assert maps.grad.isfinite().all()


@pytest.mark.parametrize("works", [0, 3])
def test_where_the_compiler_fails_the_statement_runs_and_a_note_says_so_once(monkeypatch, works):
    """Regression: an assertion of the compiler in a traceback ended a training on a GPU.

    At its first sweep, or at one of the backward pass.
    """
    calls = iter(range(100))

    def compiler(function, dynamic):  # noqa: ARG001
        def compiled(*given):
            assert next(calls) < works, "of the compiler\nand more"
            return function(*given)

        return compiled

    monkeypatch.setattr(torch, "compile", compiler)
    torch.manual_seed(0)
    rows, gain, bias = torch.randn(2, 6, 4), torch.randn(3, 2), torch.randn(2, 2)
    results = []
    with pytest.warns(Note) as notes:  # noqa: PT031
        for norm in (NORM.statement, CompiledNorm()):
            for _ in range(2):
                out, found = norm.forward(rows, gain, bias, False, True)
                results.append([out, *norm.backward(rows, out, found, False, True)])
    assert [str(note.message) for note in notes] == [
        "no compiled norm, it is slower: of the compiler"
    ]
    for other in results[1:]:
        assert all(map(torch.equal, other, results[0]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_compiled_norm_on_a_gpu_gives_what_the_formula_gives():
    """Or its fallback, where the compiler fails there; in several shapes, one after the other."""
    form = CompiledNorm()
    for shape in [(2, 63, 8), (3, 130, 8), (2, 64, 32)]:
        torch.manual_seed(0)
        rows, gain = torch.randn(shape), torch.randn(3, shape[2] // 2)
        bias = torch.randn(2, shape[2] // 2)
        expected, kept = NORM.statement.forward(rows, gain, bias, False, True)
        theirs = [expected, *NORM.statement.backward(rows, rows, kept, False, True)]
        there = [part.cuda() for part in (rows, gain, bias)]
        out, kept = form.forward(*there, False, True)
        for a, b in zip(
            [out, *form.backward(there[0], there[0], kept, False, True)], theirs, strict=True
        ):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-3, atol=1e-3)
