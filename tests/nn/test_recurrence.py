"""The recurrence: gradients of its statement, and every other form beside it."""

import pytest
import torch
import triton_cases

from cplxsep.nn import backends, recurrence
from cplxsep.nn.native.build import NoCompilerError, library
from cplxsep.nn.recurrence.doubling import doubling
from cplxsep.nn.recurrence.statement import AXIS, loop, step

ALONG = ["bands", "frames", "past frames"]
FORMS = ["loop", "doubling", "native"]
NARROW = 2e-2  # of the largest value, in bfloat16


def inputs(shape, states, dtype=torch.float32, wide=torch.float32):
    """Projection, bias and theta for maps (B, F, T)."""
    torch.manual_seed(0)
    projection = torch.randn(*shape, 6 * states, dtype=wide).to(dtype)
    given = (projection, torch.randn(6 * states, dtype=wide), torch.randn(2, states, dtype=wide))
    return tuple(part.requires_grad_() for part in given)


def results(form, given, along):
    """States, and the gradients of one weighting of them."""
    states = form(*given, along)
    torch.manual_seed(1)
    weight = torch.randn_like(states)
    return states, *torch.autograd.grad(states, given, weight, materialize_grads=True)


def assert_near(found, expected, tolerance):
    """Each within `tolerance` of its largest value."""
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        largest = theirs.detach().abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance * largest)


@pytest.fixture
def native():
    """The dispatcher, with native code enabled."""
    try:
        library("recurrence")
    except NoCompilerError as error:
        pytest.skip(str(error))
    assert backends.enable("cpu") is None
    yield recurrence.recurrence
    backends.disable()


@pytest.fixture(params=FORMS)
def form(request):
    if request.param == "native":
        return request.getfixturevalue("native")
    return {"loop": loop, "doubling": doubling}[request.param]


@pytest.mark.parametrize("along", ALONG)
def test_gradients_of_the_statement(along):
    given = inputs((1, 2, 3), 2, torch.float64, torch.float64)
    assert torch.autograd.gradcheck(lambda *parts: loop(*parts, along), given)


def test_it_is_the_recurrence_of_complex_numbers():
    """Against complex arithmetic as TEMPORAL.md section 2 writes it, in one direction."""
    given = inputs((1, 1, 5), 3, torch.float64, torch.float64)
    projection, bias, theta = (part.detach() for part in given)
    z, real, imag = (projection + bias)[0, 0, :, :9].chunk(3, dim=-1)
    x, turn, state = torch.complex(real, imag), torch.exp(1j * theta[0]), torch.zeros(3)
    for t, found in enumerate(loop(projection, bias, theta, "frames")[0, 0]):
        state = z[t].sigmoid() * turn * state + (1 - z[t].sigmoid()) * x[t]
        torch.testing.assert_close(torch.complex(*found[:6].chunk(2)), state)


@pytest.mark.parametrize("along", ALONG)
@pytest.mark.parametrize("length", [1, 2, 3, 7, 16, 33])
def test_doubling_gives_what_the_loop_gives(along, length):
    shape = (2, length, 3) if along == "bands" else (2, 3, length)
    given = inputs(shape, 3, torch.float64, torch.float64)
    found = results(doubling, given, along)
    torch.testing.assert_close(found, results(loop, given, along), rtol=1e-11, atol=1e-12)


def test_doubling_keeps_its_state_in_float32():
    """A slow gate over many positions, which a state in bfloat16 would lose."""
    given = inputs((1, 1, 200), 4, torch.bfloat16)
    with torch.no_grad():
        given[1].view(2, 3, 4)[:, 0] = 5
    assert_near(results(doubling, given, "frames"), results(loop, given, "frames"), NARROW / 2)


@pytest.mark.parametrize("along", ALONG)
@pytest.mark.parametrize("states", [64, 20, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, NARROW)])
def test_native_gives_what_the_loop_gives(native, along, states, dtype, tolerance):
    for length in (1, 2, 7):
        shape = (2, length, 5) if along == "bands" else (2, 5, length)
        given = inputs(shape, states, dtype)
        found = results(native, given, along)
        assert_near(found, results(loop, given, along), tolerance)


@pytest.mark.parametrize("along", ALONG)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_native_gives_the_same_bits_for_any_number_of_threads(native, along, dtype):
    given, before = inputs((3, 9, 7), 20, dtype), torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(results(native, given, along))
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], others, strict=True))


@pytest.mark.parametrize("along", ALONG)
def test_a_layout_that_is_not_contiguous_gives_the_same(form, along):
    given = inputs((2, 3, 4), 5)
    transposed = given[0].detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    found = results(form, (transposed, *given[1:]), along)
    assert_near(found, results(form, given, along), 1e-6)


@pytest.mark.parametrize("along", ["bands", "frames"])
def test_backwards_with_directions_exchanged_is_the_same_backwards(form, along):
    projection, bias, theta = (part.detach() for part in inputs((2, 4, 5), 3))
    axis = AXIS[along]

    def exchanged(part):
        return torch.cat(part.chunk(2, dim=-1)[::-1], dim=-1)

    found = form(exchanged(projection.flip(axis)), exchanged(bias), theta.flip(0), along)
    expected = exchanged(form(projection, bias, theta, along).flip(axis))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_along_past_frames_both_halves_are_a_first_direction(form):
    projection, bias, theta = (part.detach() for part in inputs((2, 4, 5), 3))
    found = form(projection, bias, theta, "past frames").chunk(2, dim=-1)
    halves = zip(projection.chunk(2, dim=-1), bias.chunk(2), theta, strict=True)
    for half, (maps, shift, turn) in zip(found, halves, strict=True):
        alone = loop(maps.repeat(1, 1, 1, 2), shift.repeat(2), turn.expand(2, -1), "frames")
        torch.testing.assert_close(half, alone[..., :6], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("along", ALONG)
@pytest.mark.parametrize("spread", [0.0, 3.0, 200.0])
def test_states_never_outgrow_the_candidates(form, along, spread):
    """A gate mixes: |h| stays within max |x|, and extreme gates give finite gradients."""
    given = inputs((2, 6, 40), 4)
    with torch.no_grad():
        given[0].view(2, 6, 40, 2, 3, 4)[..., 0, :].sign_().mul_(spread)
        given[1].zero_()
    found = results(form, given, along)
    assert all(part.isfinite().all() for part in found)
    real, imag = found[0].detach().unflatten(-1, (2, 2, 4)).unbind(-2)
    candidates = given[0].detach().view(2, 6, 40, 2, 3, 4)[..., 1:, :].abs().max()
    assert torch.hypot(real, imag).max() <= candidates * 2**0.5 * (1 + 1e-6)


def test_steps_with_a_carried_state_give_the_forward_direction():
    projection, bias, theta = (part.detach() for part in inputs((2, 3, 6), 4))
    expected = loop(projection, bias, theta, "frames")[..., :8]
    state = torch.zeros(2, 3, 8)
    for t in range(6):
        state = step((projection + bias)[:, :, t, :12], theta[0], state)
        torch.testing.assert_close(state, expected[:, :, t])


def test_float64_is_never_narrowed(native):
    given = inputs((1, 2, 3), 2, torch.float64, torch.float64)
    assert torch.equal(native(*given, "bands"), loop(*given, "bands"))


def test_triton_in_its_interpreter_gives_what_the_loop_gives():
    pytest.importorskip("triton")
    triton_cases.in_the_interpreter("recurrence")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_triton_on_a_gpu_gives_what_the_loop_gives():
    pytest.importorskip("triton")
    sizes = [(2, 32, 251, 64), (3, 5, 7, 20), (1, 2, 1, 3), (1, 3, 4, 200)]
    triton_cases.recurrence("cuda", sizes)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("along", ALONG)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dispatcher_on_a_gpu_gives_what_the_loop_gives_twice(along, dtype):
    """Twice the same bits: sums do not depend on scheduling."""
    given = inputs((2, 16, 63), 64, dtype, dtype)
    there = tuple(part.detach().cuda().requires_grad_() for part in given)
    found = results(recurrence.recurrence, there, along)
    again = results(recurrence.recurrence, there, along)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))
    states = loop(*there, along)
    assert_near(found[:1], (states,), 1e-5 if dtype == torch.float32 else 1e-11)


@pytest.mark.parametrize("along", ALONG)
def test_what_fades_in_silence_becomes_zero(native, along):
    """Regression: a processor takes numbers too small for full precision a hundred times slower.

    They came from silence, through states and gradients that fade; training took eight times as
    long with them.
    """
    shape = (1, 200, 1) if along == "bands" else (1, 1, 200)
    projection = torch.zeros(*shape, 6 * 16).flatten(0, 2)
    projection[100] = 1.0
    projection = projection.view(*shape, -1).requires_grad_()
    states = native(projection, torch.zeros(6 * 16), torch.zeros(2, 16), along)
    weight = torch.zeros_like(states).flatten(0, 2)
    weight[100] = 1.0
    (grad,) = torch.autograd.grad(states, projection, weight.view_as(states))
    for found in (states.detach(), grad):
        size = found.abs()
        assert (size > 0).sum() > 1000  # it fades, by half a step
        assert not ((size > 0) & (size < torch.finfo(torch.float32).tiny)).any()
