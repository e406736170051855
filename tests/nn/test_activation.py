"""Activations and clipping: formulas on native complex numbers, other libraries, symmetries."""

import complextorch.nn as complextorch
import pytest
import torch
import torchcvnn.nn as torchcvnn

from cplxsep.nn.activation import ACTIVATIONS, Cardioid, CReLU, ModReLU, ZReLU
from cplxsep.nn.clipping import Clip
from cplxsep.nn.pairs import from_complex, to_complex

MAPS = 3
BIASES = torch.tensor([-0.7, 0.0, 0.5])


def mod_relu(bias=BIASES):
    activation = ModReLU(MAPS)
    with torch.no_grad():
        activation.bias.copy_(bias)
    return activation


def quadrant(z):
    return z * ((z.real > 0) & (z.imag > 0))


def parts(z):
    return torch.complex(z.real.relu(), z.imag.relu())


FORMULAS = {
    "crelu": (CReLU(), parts),
    "zrelu": (ZReLU(), quadrant),
    "modrelu": (
        mod_relu(),
        lambda z: torch.polar((z.abs() + BIASES.to(z.real.dtype)[:, None, None]).relu(), z.angle()),
    ),
    "cardioid": (Cardioid(), lambda z: (1 + torch.cos(z.angle())) / 2 * z),
    "clip-modulus": (Clip("clip-modulus"), lambda z: parts(z).abs() + 0j),
    "clip-quadrant": (Clip("clip-quadrant"), lambda z: quadrant(z).abs() + 0j),
    "clip-parts": (Clip("clip-parts"), parts),
}


def random_values(seed=0, dtype=torch.complex128):
    torch.manual_seed(seed)
    return torch.randn(2, MAPS, 7, 5, dtype=dtype)


def apply(activation, values):
    return to_complex(activation(from_complex(values)))


def test_every_named_activation_is_tested():
    assert set(ACTIVATIONS) <= set(FORMULAS)
    for name, make in ACTIVATIONS.items():
        assert type(make(MAPS)) is type(FORMULAS[name][0])


@pytest.mark.parametrize("name", FORMULAS)
def test_values_are_those_of_the_formula(name):
    activation, formula = FORMULAS[name]
    values = random_values()
    torch.testing.assert_close(apply(activation.double(), values), formula(values))


@pytest.mark.parametrize(
    ("activation", "other"),
    [
        (CReLU(), torchcvnn.CReLU()),
        (CReLU(), complextorch.CReLU()),
        (ZReLU(), torchcvnn.zReLU()),
        (ZReLU(), complextorch.zReLU()),
        (Cardioid(), torchcvnn.Cardioid()),
        (Cardioid(), complextorch.CVCardiod()),
        (mod_relu(torch.zeros(MAPS)), torchcvnn.modReLU()),
        (ModReLU(MAPS), complextorch.modReLU(-0.1)),
    ],
    ids=lambda module: f"{type(module).__module__.partition('.')[0]}-{type(module).__name__}",
)
def test_values_are_those_of_other_libraries(activation, other):
    values = random_values(dtype=torch.complex64)
    torch.testing.assert_close(apply(activation.float(), values), other(values).detach())


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients(name):
    activation = FORMULAS[name][0].double()
    maps = from_complex(random_values()).requires_grad_()
    parameters = list(activation.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: activation(x), (maps, *parameters))


@pytest.mark.parametrize("name", FORMULAS)
def test_gradients_are_those_of_complex_autograd(name):
    """Of a real loss, with respect to z as a complex number (SPEC 8b)."""
    activation, formula = FORMULAS[name]
    values = random_values().requires_grad_()
    weights = random_values(1)
    mine = (weights.conj() * apply(activation.double(), values)).real.sum()
    theirs = (weights.conj() * formula(values)).real.sum()
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, values)[0] for loss in (mine, theirs)), rtol=1e-6, atol=1e-9
    )


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_origin_stays_and_has_a_finite_gradient(name, dtype):
    activation = FORMULAS[name][0].float()
    maps = torch.zeros(1, 2 * MAPS, 2, 2, dtype=dtype)
    maps[..., 0] = torch.finfo(dtype).tiny
    maps.requires_grad_()
    out = activation(maps)
    out.sum().backward()
    assert out.dtype == dtype
    assert not out[..., 1].any()
    assert maps.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in activation.parameters())


@pytest.mark.parametrize("name", FORMULAS)
def test_nan_comes_through(name):
    """A diverged network must be seen to have diverged."""
    maps = torch.zeros(1, 2 * MAPS, 1, 1)
    maps[:] = float("nan")
    assert FORMULAS[name][0].float()(maps).isnan().any()


def turned(values, angle):
    return values * torch.polar(torch.ones(()), torch.tensor(angle)).to(values.dtype)


@pytest.mark.parametrize("angle", [0.3, 1.5, -2.8])
def test_modrelu_alone_turns_with_its_input(angle):
    values = random_values()
    for name in ACTIVATIONS:
        activation = FORMULAS[name][0].double()
        equal = torch.allclose(
            apply(activation, turned(values, angle)),
            turned(apply(activation, values), angle),
            atol=1e-6,
        )
        assert equal == (name == "modrelu"), name


@pytest.mark.parametrize(
    ("name", "symmetry"),
    [
        ("cardioid", torch.conj),
        ("modrelu", torch.conj),
        *((name, lambda z: 1j * z.conj()) for name in ("crelu", "zrelu", "clip-parts")),
    ],
)
def test_mirror_symmetries(name, symmetry):
    """Cardioid and modReLU about the real axis, the split ones about the diagonal."""
    activation, values = FORMULAS[name][0].double(), random_values()
    torch.testing.assert_close(
        apply(activation, symmetry(values).resolve_conj()), symmetry(apply(activation, values))
    )


@pytest.mark.parametrize("name", ["crelu", "cardioid"])
def test_on_real_numbers_it_is_the_relu(name):
    real = random_values().real + 0j
    torch.testing.assert_close(apply(FORMULAS[name][0], real), real.real.relu() + 0j)


@pytest.mark.parametrize(("mode", "zeroed"), [("clip-modulus", 0.25), ("clip-quadrant", 0.75)])
def test_share_of_values_of_uniform_phase_that_clipping_removes(mode, zeroed):
    torch.manual_seed(0)
    clipped = apply(Clip(mode), torch.randn(1, MAPS, 100, 100, dtype=torch.complex64))
    assert float((clipped == 0).float().mean()) == pytest.approx(zeroed, abs=0.01)
    assert (clipped.real >= 0).all()
    assert not clipped.imag.any()
