"""The norm of a position beside its residual: the statement, and every other form beside it."""

import pytest
import torch
import triton_cases

from cplxsep.nn import backends, position_norm
from cplxsep.nn.native.build import NoCompilerError, library
from cplxsep.nn.position_norm.statement import EPS, statement


def inputs(shape, dtype=torch.float32, wide=torch.float32):
    """Maps, gain and bias."""
    torch.manual_seed(0)
    maps = (3 * torch.randn(shape, dtype=wide) + 1).to(dtype)
    given = (maps, torch.randn(shape[-1], dtype=wide), torch.randn(shape[-1], dtype=wide))
    return tuple(part.requires_grad_() for part in given)


@pytest.fixture
def native():
    """The dispatcher, with native code enabled."""
    try:
        library("position_norm")
    except NoCompilerError as error:
        pytest.skip(str(error))
    assert backends.enable("cpu") is None
    yield position_norm.residual_norm
    backends.disable()


def test_it_is_the_formula():
    maps, gain, bias = (part.detach() for part in inputs((2, 3, 4, 10), wide=torch.float64))
    maps = maps.double()
    centred = maps - maps.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + EPS).sqrt() * gain + bias
    through, normed = statement(maps, gain, bias)
    torch.testing.assert_close(normed, expected)
    assert torch.equal(through, maps)


def test_gradients_of_the_statement():
    given = inputs((1, 2, 2, 4), torch.float64, torch.float64)
    assert torch.autograd.gradcheck(statement, given)


@pytest.mark.parametrize("channels", [96, 20, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_native_gives_what_the_statement_gives(native, channels, dtype):
    for length in (1, 2, 7):
        given = inputs((2, 5, length, channels), dtype)
        triton_cases.compare(native(*given), statement(*given), given, dtype)


@pytest.mark.parametrize("used", [slice(0, 1), slice(1, 2)])
@pytest.mark.parametrize("channels", [20, 96])
def test_native_gradients_come_by_either_result_alone(native, used, channels):
    given = inputs((1, 2, 3, channels))
    triton_cases.compare(native(*given)[used], statement(*given)[used], given, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_native_gives_the_same_bits_for_any_number_of_threads(native, dtype):
    given, before = inputs((2, 20, 31, 20), dtype), torch.get_num_threads()
    weight = torch.randn_like(given[0])
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            through, normed = native(*given)
            gradients = torch.autograd.grad((through, normed), given, (weight, weight))
            found.append((normed, *gradients))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_a_position_does_not_depend_on_the_others(native):
    """What streaming and chunks of any length rest on."""
    maps, gain, bias = (part.detach() for part in inputs((1, 4, 9, 20)))
    part = maps[:, :, 3:5].contiguous()
    for form in (native, statement):
        torch.testing.assert_close(form(part, gain, bias)[1], form(maps, gain, bias)[1][:, :, 3:5])


def test_a_constant_position_gives_the_bias(native):
    given = (torch.full((1, 1, 2, 20), 7.0, requires_grad=True), *inputs((20,))[1:])
    for form in (native, statement):
        normed = form(*given)[1]
        torch.testing.assert_close(normed, given[2].expand_as(normed))
        assert torch.autograd.grad(normed.sum(), given[0])[0].isfinite().all()


def test_float64_is_never_narrowed(native):
    given = inputs((1, 2, 3, 4), torch.float64, torch.float64)
    assert torch.equal(native(*given)[1], statement(*given)[1])


def test_triton_in_its_interpreter_gives_what_the_statement_gives():
    pytest.importorskip("triton")
    triton_cases.in_the_interpreter("norm")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_triton_on_a_gpu_gives_what_the_statement_gives():
    pytest.importorskip("triton")
    triton_cases.norm("cuda", [(2, 32, 251, 96), (8, 32, 125, 32), (2, 3, 5, 20), (1, 1, 2, 3)])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dispatcher_on_a_gpu_gives_what_the_statement_gives(dtype):
    given = tuple(part.detach().cuda() for part in inputs((2, 5, 7, 96), dtype, dtype))
    found, expected = position_norm.residual_norm(*given), statement(*given)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
