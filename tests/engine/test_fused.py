"""The inference form of a network: equal to the network itself, whatever its configuration."""

import pytest
import torch
import torch.nn.functional as F
from model_options import each

from cplxsep.config import ModelConfig
from cplxsep.engine.fused.choice import choose
from cplxsep.engine.fused.layers import FixedConv
from cplxsep.engine.fused.registry import form, has_form
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.between_convolutions import BETWEEN
from cplxsep.nn.between_convolutions.native import NativeBetween
from cplxsep.nn.between_convolutions.statement import Between
from cplxsep.nn.complex_norm import ComplexNorm
from cplxsep.nn.conv import ComplexConv2d
from cplxsep.nn.native.build import NoCompilerError, library

VARIANTS = [
    {},
    {"norm": "layer", "sources": 1, "mask": "polar"},
    {"transformations": 1, "sources": 1, "residual_blocks": 0},
    {"transformations": 2, "dropout": 0.3, "level": "network"},
    {"transformations": 3, "sources": 3, "norm": "layer", "window": 128, "hop": 32},
    {"transformations": 2, "patch": 2, "drop_nyquist": True, "mask": "polar"},
    {"patch": 2, "residual_blocks": 2, "order": "downsample-first"},
    {"transformations": 2, "film_offset": "0", "head_init_of": "all"},
]
# What no fast form is written for.
OTHERS = [
    {"network": "real"},
    {"norm": "batch"},
    {"activation": "modrelu"},
    {"down": "max"},
    {"front": "clip-parts"},
    {"transformations": 1, "combine": "learned"},
    {"transformations": 1, "mixture_candidate": False},
    {"transformations": 1, "dropout": 0.5, "dropout_of": "mask"},
]


def choices():
    """Sections of a model with an extractor, one option of them at each value that it has."""
    for section, key, value, _ in each():
        if key == "network":
            continue
        given = {
            "unet": {"start_maps": 4, "levels": 1},
            "extractor": {"transformations": 1, "dropout": 0.3},
            **{"window": 64, "hop": 16},
        }
        (given.setdefault(section, {}) if section else given)[key] = value
        yield pytest.param(given, id=f"{section}-{key}-{value}")


def fuse(model, dtype, between=BETWEEN.statement):
    """The form of a model's network in its place, or the model where there is none."""
    if not has_form(model.network):
        return model
    return model.with_network(form(model.network, dtype, between)).eval()


def trained_like(**options):
    """A small network none of whose parameters has its initial, special value."""
    torch.manual_seed(0)
    small = {} if "unet" in options else {"start_maps": 8, "levels": 2}
    model = SeparationModel(ModelConfig(**small | options)).eval()
    for module in model.modules():
        if isinstance(module, ComplexNorm):
            torch.nn.init.normal_(module.bias, std=0.3)
            with torch.no_grad():
                module.gain += 0.2 * torch.randn_like(module.gain)
        if isinstance(module, ComplexConv2d) and module.bias is not None:
            torch.nn.init.normal_(module.bias, std=0.3)
    return model


def snr(expected, found):
    return 10 * torch.log10(expected.square().sum() / (expected - found).square().sum())


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@torch.inference_mode()
def test_it_is_the_network_in_float64(options):
    model = trained_like(**options).double()
    mixture = torch.randn(2, 5003).double()
    torch.testing.assert_close(
        fuse(model, torch.float64)(mixture), model(mixture), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("options", list(choices()))
@torch.inference_mode()
def test_no_option_is_left_out_of_the_form(options):
    """An option that the form does not follow must leave the network without one."""
    model = trained_like(**options).double()
    mixture = torch.randn(1, 501).double()
    torch.testing.assert_close(
        fuse(model, torch.float64)(mixture), model(mixture), rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("options", VARIANTS, ids=str)
@torch.inference_mode()
def test_native_code_makes_the_same_in_float32(options):
    try:
        between = NativeBetween(library("between_convolutions"))
    except NoCompilerError as error:
        pytest.skip(str(error))
    model = trained_like(**options)
    mixture = torch.randn(2, 5003)
    expected = model.double()(mixture.double())
    model.float()
    own = snr(expected, model(mixture).double())
    found = snr(expected, fuse(model, torch.float32, between)(mixture).double())
    # As close to the truth as the network itself in float32.
    assert found > min(own - 6, 100)


@torch.inference_mode()
def test_three_products_make_a_complex_convolution():
    class ThreeProducts(Between):
        three_products = True

    torch.manual_seed(0)
    model = SeparationModel(ModelConfig(start_maps=64, levels=1)).eval().double()
    form = fuse(model, torch.float64, ThreeProducts())
    assert {conv.groups for conv in form.modules() if isinstance(conv, FixedConv)} == {1, 3}
    mixture = torch.randn(1, 1003).double()
    torch.testing.assert_close(form(mixture), model(mixture), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("groups", "size"), [(1, 3), (3, 3), (1, 1)])
@torch.inference_mode()
def test_packed_kernels_convolve_alike(groups, size, dtype):
    torch.manual_seed(0)
    kernel, bias = torch.randn(48, 16, size, size), torch.randn(48)
    conv = FixedConv(kernel, bias, dtype, groups)
    rows = torch.randn(2, 5, 9, 16 * groups).to(dtype)
    expected = F.conv2d(
        rows.permute(0, 3, 1, 2).float(),
        kernel.to(dtype).float(),
        bias.to(dtype).float(),
        padding=size // 2,
        groups=groups,
    ).permute(0, 2, 3, 1)
    found = conv(rows)
    assert found.is_contiguous()
    assert (found.float() - expected).norm() < (1e-5 if dtype == torch.float32 else 4e-3) * (
        expected.norm()
    )


@torch.inference_mode()
def test_the_model_stays_as_it_is():
    model = trained_like(transformations=2)
    mixture = torch.randn(1, 4000)
    before, weights = model(mixture), [p.clone() for p in model.parameters()]
    form = fuse(model, torch.bfloat16)
    form(mixture)
    assert form is not model
    assert torch.equal(model(mixture), before)
    assert all(map(torch.equal, model.parameters(), weights))


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_models_without_a_form_come_back(options):
    model = SeparationModel(ModelConfig(start_maps=8, levels=1, **options))
    assert fuse(model, torch.bfloat16) is model


@torch.inference_mode()
def test_options_that_change_nothing_do_not_cost_the_form():
    """Regression: a key told to be without effect, as of another network, took it away."""
    model = SeparationModel(
        ModelConfig(start_maps=8, levels=1, tasnet_filters=64, dual_path={"heads": 2})
    )
    assert model.config.unused() == ["dual_path.heads", "tasnet.filters"]
    assert fuse(model, torch.float32) is not model


def test_other_modules_come_back():
    other = torch.nn.Linear(2, 2)
    assert choose(other, torch.device("cpu"), torch.bfloat16)[0] is other


@torch.inference_mode()
def test_silence_and_the_shortest_signals_pass():
    form = fuse(trained_like(transformations=1), torch.float32)
    assert not form(torch.zeros(1, 4000)).any()
    assert form(torch.randn(1, 1)).isfinite().all()
