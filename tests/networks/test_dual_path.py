"""The dual-path network: its size, what its options keep, its configuration."""

import tomllib

import pytest
import torch

from cplxsep.config import ModelConfig, parse_config, to_toml
from cplxsep.errors import UsageError
from cplxsep.networks.dual_path import apart, together
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.nn.linear import LinearMap

SMALL = {"outer": 8, "channels": [12], "blocks": [2], "states": 4}
OPTIONS = [
    {},
    {"heads": 2},
    {"channels": [12, 16], "blocks": [2, 1]},
    {"channels": [12, 16, 8], "blocks": [3, 2, 1], "heads": 4},
    {"linearity": "complex"},
    {"correction": True},
]


def model(options=None, **changes):
    torch.manual_seed(0)
    shape = SMALL | (options or {})
    values = {"network": "dual-path", "window": 64, "hop": 32, "level": "network"}
    return SeparationModel(
        ModelConfig.model_validate({**values, **changes, "dual_path": shape})
    ).eval()


def count(separate):
    return sum(parameter.numel() for parameter in separate.parameters())


def stirred(separate):
    """The model with every parameter off its initial value, as after training."""
    with torch.no_grad():
        for parameter in separate.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return separate


def test_parameters_of_the_published_shape():
    """As many as the start weights of TEMPORAL.md have."""
    assert count(SeparationModel(ModelConfig(network="dual-path"))) == 1_769_360


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("samples", [1, 100, 992])
@pytest.mark.parametrize("sources", [1, 2, 3])
def test_any_number_of_sources_and_any_length(options, samples, sources):
    found = model(options, sources=sources)(torch.randn(2, samples))
    assert found.shape == (2, sources, samples)
    assert found.isfinite().all()


@pytest.mark.parametrize("options", OPTIONS)
def test_every_parameter_gets_a_finite_gradient(options):
    separate = model(options)
    separate(torch.randn(2, 992)).square().mean().backward()
    for name, parameter in separate.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_silence_gives_silence_and_finite_gradients():
    separate = stirred(model())
    found = separate(torch.zeros(1, 992))
    assert not found.any()
    found.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in separate.parameters())


@pytest.mark.parametrize("factor", [1e-3, 7.0])
def test_a_gain_passes_through(factor):
    separate, mixture = stirred(model()), torch.randn(2, 992)
    expected = factor * separate(mixture)
    scale = expected.detach().abs().max().item()
    torch.testing.assert_close(separate(factor * mixture), expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.parametrize("options", [{"heads": 2}, {"half_hop": True}])
def test_native_code_gives_what_the_statement_gives(options):
    separate, mixture = stirred(model(options)), torch.randn(2, 992)
    expected = separate(mixture)
    reason = backends.enable("cpu")
    try:
        if reason:
            pytest.skip(reason)
        torch.testing.assert_close(separate(mixture), expected, rtol=1e-4, atol=1e-5)
    finally:
        backends.disable()


def test_autocast_stays_near_float32():
    separate, mixture = stirred(model()), torch.randn(2, 992)
    expected = separate(mixture)
    with torch.autocast("cpu", torch.bfloat16):
        found = separate(mixture)
    assert found.dtype == torch.float32
    assert (found - expected).square().mean() < 1e-3 * expected.square().mean()


@pytest.mark.parametrize(
    "options",
    [
        {"heads": 4},
        {"correction": True},
        {"channels": [12, 16], "blocks": [2, 1]},
        {"channels": [12, 16], "blocks": [2, 1], "heads": 4},
    ],
)
def test_a_grown_network_begins_as_the_one_that_it_grew_from(options):
    small, large = stirred(model()), stirred(model(options))
    parts = large.network.grown()
    found = large.load_state_dict(small.state_dict(), strict=False)
    assert not found.unexpected_keys
    missing = {name.removeprefix("network.") for name in found.missing_keys}
    assert missing
    assert all(name.startswith(tuple(parts)) for name in missing)
    mixture = torch.randn(2, 30 * 32 + 5)
    expected = small(mixture)
    assert not torch.equal(large(mixture), expected)
    for last in parts.values():
        last.clear()
    assert torch.equal(large(mixture), expected)


def test_a_network_that_lacks_nothing_has_nothing_grown():
    assert model().network.grown() == {}


def test_resolutions_go_down_and_up_again():
    maps = torch.randn(2, 4, 6, 5)
    fours = together(maps)
    assert fours.shape == (2, 2, 3, 20)
    assert torch.equal(fours[1, 1, 2], maps[1, 2:, 4:].flatten())
    assert torch.equal(apart(fours), maps)


def test_a_model_at_another_of_its_rates_has_the_same_weights():
    separate = model(rates=[8000, 16000])
    wide = separate.at(16000)
    assert (wide.sample_rate, wide.stft.window, wide.stft.hop) == (16000, 128, 64)
    assert wide(torch.randn(1, 2000)).shape == (1, 2, 2000)
    for own, other in zip(separate.parameters(), wide.parameters(), strict=True):
        assert own is other
    with pytest.raises(ValueError, match="44100"):
        separate.at(44100)


def times_i(maps):
    real, imag = maps.chunk(2, dim=-1)
    return torch.cat([-imag, real], dim=-1)


@pytest.mark.parametrize("size", [0, 3])
def test_a_complex_linear_map_commutes_with_a_turn(size):
    torch.manual_seed(0)
    maps = torch.randn(2, 4, 5, 6)
    complex_linear = LinearMap(6, 8, size, linearity="complex")
    torch.testing.assert_close(complex_linear(times_i(maps)), times_i(complex_linear(maps)))
    real_linear = LinearMap(6, 8, size)
    assert not torch.allclose(real_linear(times_i(maps)), times_i(real_linear(maps)), atol=0.1)


def test_complex_linear_maps_halve_the_local_blocks():
    real, halved = model(), model({"linearity": "complex"})
    inner, outer = 2 * (9 + 1) * 12**2, 2 * (9 + 1) * 8**2  # kernel and matrix of two blocks each
    assert count(real) - count(halved) == (inner + outer) // 2


def described(**model_section):
    values = {"network": "dual-path"} | model_section
    return parse_config({"model": values}, "run.toml")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"dual_path": {"channels": [96, 128], "blocks": [8]}}, "2 and 1"),
        ({"dual_path": {"channels": [97]}}, "multiple of 2"),
        ({"dual_path": {"channels": [96], "heads": 5}}, "multiple of heads, 5"),
        ({"dual_path": {"head": 4}}, "did you mean 'heads'"),
        ({"window": 250, "hop": 125}, "250 samples, must be a multiple of 8"),
        ({"dual_path": {"channels": [8, 8], "blocks": [1, 1]}, "window": 248}, "multiple of 16"),
        ({"rates": [16000]}, "rates must hold sample_rate, 8000"),
        ({"rates": [8000, 11025]}, "11025 Hz"),
        ({"rates": [8000], "network": "complex"}, "not of the complex one"),
        ({"transformations": 2}, "set extractor.transformations to 0"),
    ],
)
def test_a_mistake_in_the_configuration_is_one_clear_line(section, words):
    with pytest.raises(UsageError) as caught:
        described(**{"hop": 32} | section)
    message = str(caught.value)
    assert message.startswith("run.toml: ")
    assert words in message
    assert "\n" not in message


def test_the_nested_section_survives_toml():
    config = described(
        rates=[8000, 16000, 48000],
        dual_path={"channels": [96, 128], "blocks": [6, 2], "heads": 4, "linearity": "complex"},
    )
    text = to_toml(config)
    assert "[model.dual_path]" in text
    assert parse_config(tomllib.loads(text), "again") == config


def test_the_nested_section_can_be_set_by_name():
    values = {"model": {"network": "dual-path"}}
    config = parse_config(values, "run.toml", ["model.dual_path.heads=4"])
    assert config.model.dual_path.heads == 4
