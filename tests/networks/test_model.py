"""Properties of whole models: shapes, level, silence, any N, the extractor's algebra."""

import pytest
import torch

from cplxsep.config import ModelConfig
from cplxsep.networks.blocks import ComplexAlgebra
from cplxsep.networks.heads import Extractor, bounded
from cplxsep.networks.model import fit_levels
from cplxsep.networks.registry import build
from cplxsep.nn import pairs

SMALL = {"start_maps": 8, "levels": 2}
VARIANTS = [
    {},
    {"network": "real"},
    {"transformations": 2},
    {"transformations": 1, "norm": "layer"},
    {"transformations": 2, "patch": 2, "drop_nyquist": True},
    {"residual_blocks": 2, "init": "rayleigh-unscaled", "head_init": "rayleigh"},
    {"mask": "polar"},
    {"mask": "polar", "transformations": 2},
]


def model(**changes):
    torch.manual_seed(0)
    return build(ModelConfig(**{**SMALL, **changes})).eval()


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


def extractor(**changes):
    torch.manual_seed(0)
    settings = {"in_maps": 4, "sources": 2, "transformations": 3, **changes}
    return Extractor(ComplexAlgebra(), **settings)


def test_candidates_are_the_mixture_and_its_affine_transformations():
    """FiLM offset 1+1i; the plain mixture leads each source's group (SPEC section 4)."""
    head = extractor()
    features, mixture = torch.randn(1, 8, 16, 16), torch.randn(1, 2, 16, 16)
    film = head.film(features)
    real, imag = film.chunk(2, dim=1)
    gamma, beta = torch.complex(real, imag).split(6, dim=1)
    mix = pairs.to_complex(mixture)
    transformed = ((1 + 1j) + gamma) * mix + beta
    expected = torch.cat([mix, transformed[:, :3], mix, transformed[:, 3:]], dim=1)
    ours = pairs.to_complex(head._candidates(features, mixture))
    torch.testing.assert_close(ours, expected)


def test_sources_are_the_mean_of_masked_candidates():
    head = extractor()
    features, mixture = torch.randn(1, 8, 16, 16), torch.randn(1, 2, 16, 16)
    candidates = head._candidates(features, mixture)
    masks = pairs.to_complex(head.masks(pairs.concatenate(candidates, features)))
    products = masks * pairs.to_complex(candidates)
    expected = torch.stack([products[:, :4].mean(1), products[:, 4:].mean(1)], dim=1)
    torch.testing.assert_close(pairs.to_complex(head(features, mixture)), expected)


def test_dropout_removes_the_mixture_term_only_and_scales_it_at_evaluation():
    head = extractor(dropout=0.5)
    features, mixture = torch.randn(1, 8, 16, 16), torch.randn(1, 2, 16, 16)
    plain = extractor()
    plain.load_state_dict(head.state_dict())
    beta = pairs.to_complex(head.film(features))[:, 6:]
    full = pairs.to_complex(plain._candidates(features, mixture))
    torch.manual_seed(1)
    dropped = pairs.to_complex(head.train()._candidates(features, mixture))
    halved = pairs.to_complex(head.eval()._candidates(features, mixture))
    kinds = set()
    for n, (at, shift) in enumerate([(1, 0), (2, 1), (3, 2), (5, 3), (6, 4), (7, 5)]):
        kept = torch.allclose(dropped[:, at], full[:, at])
        gone = torch.allclose(dropped[:, at], beta[:, shift])
        assert kept != gone, n
        kinds.add(kept)
        expected = 0.5 * (full[:, at] - beta[:, shift]) + beta[:, shift]
        torch.testing.assert_close(halved[:, at], expected)
    assert kinds == {True, False}
    # The plain mixture is never dropped.
    torch.testing.assert_close(dropped[:, 0], full[:, 0])
    torch.testing.assert_close(dropped[:, 4], full[:, 4])


def test_polar_masks_have_a_modulus_below_one_and_keep_their_phase():
    torch.manual_seed(0)
    masks = 3 * torch.randn(2, 6, 4, 5).double()
    masks[0, :, 0, 0] = 0
    free, bound = pairs.to_complex(masks), pairs.to_complex(bounded(masks))
    torch.testing.assert_close(bound.abs(), free.abs().tanh(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(bound * free.abs(), free * bound.abs())
    masks.requires_grad_(True)
    assert torch.autograd.gradcheck(bounded, (masks,))


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
