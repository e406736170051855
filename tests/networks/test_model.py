"""Properties of whole models: shapes, level, silence, any N, the extractor's algebra."""

import sys

import pytest
import torch

from cplxsep.config import ModelConfig
from cplxsep.errors import UsageError
from cplxsep.networks.model import SeparationModel, fit_levels
from cplxsep.nn import pairs
from cplxsep.nn.activation import ACTIVATIONS
from cplxsep.nn.pool import COMPLEX_POOLS, REAL_POOLS

SMALL = {"start_maps": 8, "levels": 2}
TASNET = {
    "network": "conv-tasnet",
    "tasnet_filters": 8,
    "tasnet_bottleneck": 8,
    "tasnet_hidden": 8,
    "tasnet_layers": 2,
    "tasnet_stacks": 1,
}
VARIANTS = [
    {},
    {"network": "real"},
    {"transformations": 2},
    {"transformations": 1, "norm": "layer"},
    {"transformations": 2, "patch": 2, "drop_nyquist": True},
    {"residual_blocks": 2, "init": "rayleigh-unscaled", "head_init": "rayleigh"},
    {"mask": "polar"},
    {"mask": "polar", "transformations": 2},
    *({"activation": name} for name in ACTIVATIONS if name != "crelu"),
    {"norm": "batch"},
    {"norm": "batch", "activation": "modrelu", "transformations": 1},
    *({"down": name} for name in COMPLEX_POOLS),
    *({"down": name, "network": "real"} for name in REAL_POOLS),
    *({"network": "real", "real_norm": name} for name in ("channel", "layer")),
    *({"front": name} for name in ("clip-modulus", "clip-quadrant", "clip-parts")),
    {"front": "clip-parts", "network": "real"},
    {"order": "downsample-first", "residual_blocks": 1},
    {"transformations": 2, "film_offset": "0", "dropout": 0.3, "dropout_of": "mask"},
    {"transformations": 2, "film_offset": "1", "dropout": 0.3, "dropout_of": "transformation"},
    {"transformations": 2, "mixture_candidate": False, "combine": "learned"},
    {"transformations": 1, "head_init_of": "all"},
    TASNET,
]


def model(**changes):
    torch.manual_seed(0)
    return SeparationModel(ModelConfig(**{**SMALL, **changes})).eval()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("sources", [1, 2, 3])
@pytest.mark.parametrize("samples", [1, 100, 2000])
def test_any_number_of_sources_and_any_length(variant, sources, samples):
    separate = model(**variant, sources=sources)
    out = separate(torch.randn(2, samples))
    assert out.shape == (2, sources, samples)
    assert out.isfinite().all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("gain", [1e-3, 0.1, 7.0, 100.0])
def test_output_follows_the_gain_of_the_input(variant, gain):
    separate = model(**variant).double()
    mixture = torch.randn(1, 3000).double()
    torch.testing.assert_close(separate(gain * mixture), gain * separate(mixture))


@pytest.mark.parametrize("variant", VARIANTS)
def test_silence_gives_silence(variant):
    separate = model(**variant)
    assert not separate(torch.zeros(2, 1500)).any()
    assert separate(torch.full((1, 1500), 1e-42)).isfinite().all()


def test_examples_of_a_batch_do_not_mix():
    separate = model(transformations=2).double()
    a, b = torch.randn(2, 2000).double()
    together = separate(torch.stack([a, b]))
    torch.testing.assert_close(together[0], separate(a[None])[0])


def test_levels_and_signs_of_sources_are_found_again():
    torch.manual_seed(0)
    sources = torch.randn(3, 2, 4000).double()
    factors = torch.tensor([[1e3, -0.01], [-5.0, 2.0], [1.0, 1.0]]).double().unsqueeze(-1)
    fitted = fit_levels(factors * sources, sources.sum(dim=1))
    torch.testing.assert_close(fitted, sources, rtol=0, atol=0.02)


def test_fitting_levels_of_silence_and_of_equal_outputs_is_harmless():
    mixture = torch.randn(1, 1000)
    assert not fit_levels(torch.zeros(1, 2, 1000), mixture).any()
    halves = fit_levels(torch.stack([mixture, mixture], dim=1), mixture)
    torch.testing.assert_close(halves.sum(dim=1), mixture, rtol=0, atol=0.01)


def test_level_of_the_network_can_be_kept():
    raw, fitted = model(level="network"), model()
    mixture = torch.randn(1, 3000)
    a, b = raw(mixture), fitted(mixture)
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=-1).abs()
    torch.testing.assert_close(cosine, torch.ones_like(cosine))
    assert not torch.allclose(a, b)


def test_every_parameter_of_the_extractor_network_gets_a_gradient():
    separate = model(transformations=3).train()
    separate(torch.randn(1, 3000)).square().mean().backward()
    without = [n for n, p in separate.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_real_twins_norms_differ_in_what_they_share():
    """Only with batch norm does one mixture change what becomes of another, in training."""
    for norm, mixes in (("batch", True), ("channel", False), ("layer", False)):
        separate = model(network="real", real_norm=norm).double().train()
        a, b = torch.randn(2, 2000).double()
        alone, together = separate(a[None])[0], separate(torch.stack([a, b]))[0]
        assert torch.allclose(alone, together, atol=1e-8) != mixes


@pytest.mark.parametrize("front", ["clip-modulus", "clip-quadrant", "clip-parts"])
def test_masks_apply_to_the_unclipped_mixture(front):
    separate = model(front=front)
    seen = []
    separate.network.head.register_forward_pre_hook(lambda _, given: seen.append(given[1]))
    separate.network.unet.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    separate(torch.randn(1, 2000))
    clipped, whole = seen
    assert (clipped >= 0).all()
    assert (whole < 0).any()


def test_estimates_have_both_forms_whatever_the_network_gives():
    mixture = torch.randn(2, 3000)
    for variant in ({}, TASNET):
        separate = model(**variant)
        found = separate.estimate(mixture)
        audio, spectra = found.as_audio(), found.as_spectra()
        assert audio.shape == (2, 2, 3000)
        assert spectra.shape == (2, 4, 129, separate.stft.frames(3000))
        again = separate.stft.inverse(spectra, 3000)
        assert (again - audio).norm() <= 1e-5 * audio.norm()


def test_conv_tasnet_has_the_size_of_torchaudios():
    from torchaudio.models import conv_tasnet_base

    ours = SeparationModel(ModelConfig(network="conv-tasnet"))
    theirs = conv_tasnet_base()
    shapes = {name: tensor.shape for name, tensor in theirs.state_dict().items()}
    prefix = "network.model."
    assert {n.removeprefix(prefix): t.shape for n, t in ours.state_dict().items()} == shapes


def test_conv_tasnet_without_torchaudio_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio.models", None)
    with pytest.raises(UsageError, match=r"^network conv-tasnet needs torchaudio: "):
        SeparationModel(ModelConfig(network="conv-tasnet"))


def test_a_polar_mask_never_adds_energy():
    separate = model(mask="polar", level="network", sources=1)
    with torch.no_grad():
        for parameter in separate.network.head.parameters():
            parameter.mul_(30)
        mixture = separate.stft(torch.randn(1, 4000))
        unit = mixture / mixture.square().mean().sqrt()
        heard, out = pairs.to_complex(unit).abs(), pairs.to_complex(separate.network(unit)).abs()
    assert (out <= heard * (1 + 1e-5)).all()
    assert (out > 0.9 * heard).any()
