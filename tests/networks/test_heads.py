"""The heads' algebra: FiLM candidates, dropout, masks and how sources are made of them."""

import pytest
import torch

from cplxsep.config import ExtractorConfig, UNetConfig
from cplxsep.networks.blocks import ComplexAlgebra
from cplxsep.networks.heads import Extractor, bounded
from cplxsep.nn import pairs


def extractor(**changes):
    torch.manual_seed(0)
    sources = changes.pop("sources", 2)
    options = ExtractorConfig(**{"transformations": 3, **changes})
    return Extractor(ComplexAlgebra(UNetConfig()), 4, sources, options)


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
    ours = pairs.to_complex(head._candidates(features, mixture, None))
    torch.testing.assert_close(ours, expected)


def test_sources_are_the_mean_of_masked_candidates():
    head = extractor()
    features, mixture = torch.randn(1, 8, 16, 16), torch.randn(1, 2, 16, 16)
    candidates = head._candidates(features, mixture, None)
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

    def candidates(of):
        return pairs.to_complex(of._candidates(features, mixture, of._keep(mixture)))

    full = candidates(plain)
    torch.manual_seed(1)
    dropped, halved = candidates(head.train()), candidates(head.eval())
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


@pytest.mark.parametrize(("offset", "value"), [("0", 0), ("1", 1), ("1+1i", 1 + 1j)])
def test_film_offset_is_what_the_mixture_is_scaled_by_at_least(offset, value):
    head = extractor(film_offset=offset)
    with torch.no_grad():
        for parameter in head.film.parameters():
            parameter.zero_()
    features, mixture = torch.randn(1, 8, 16, 16), torch.randn(1, 2, 16, 16)
    found = pairs.to_complex(head._candidates(features, mixture, None))
    mix = pairs.to_complex(mixture)[:, 0]
    for at in range(8):
        torch.testing.assert_close(found[:, at], mix * (1 if at in (0, 4) else value))


@pytest.mark.parametrize("mixture_candidate", [True, False])
@pytest.mark.parametrize("of", ["transformation", "mask"])
def test_other_dropout_removes_whole_transformations(of, mixture_candidate):
    """Of candidates before the mask network, or of its products; never of the plain mixture."""
    changes = {"mixture_candidate": mixture_candidate}
    head, plain = extractor(dropout=0.5, dropout_of=of, **changes), extractor(**changes)
    head, plain = head.double(), plain.double()
    features, mixture = torch.randn(1, 8, 16, 16).double(), torch.randn(1, 2, 16, 16).double()
    full = plain._candidates(features, mixture, None)
    each = 3 + mixture_candidate
    for training, kept in ((True, {0.0, 1.0}), (False, {0.5})):
        head.train(training)
        torch.manual_seed(1)
        keep = head._with_mixture_kept(head._keep(mixture))
        shares = keep.view(2, 2, each)
        torch.testing.assert_close(shares[0], shares[1])  # real and imaginary parts alike
        first = 1 if mixture_candidate else 0
        assert set(shares[:, :, first:].flatten().tolist()) == kept
        assert (shares[:, :, :first] == 1).all()
        torch.manual_seed(1)
        seen = full * keep if of == "transformation" else full
        masks = head.masks(pairs.concatenate(seen, features))
        products = pairs.product(masks, seen)
        if of == "mask":
            products = products * keep
        expected = products.unflatten(1, (4, each)).mean(dim=2)
        torch.testing.assert_close(head(features, mixture), expected)


def test_a_learned_combiner_sees_all_candidates():
    head = extractor(combine="learned")
    assert head.combiner.weight_real.shape == (2, 8, 3, 3)
    assert head(torch.randn(1, 8, 16, 16), torch.randn(1, 2, 16, 16)).shape == (1, 4, 16, 16)


def test_all_mask_convolutions_can_start_unitary():
    """Then the columns of each kernel as a matrix are orthogonal."""

    def slant(conv):
        real, imag = (part.detach() / part.detach().std() for part in conv.parameters())
        matrix = torch.complex(real, imag).reshape(-1, 9)
        gram = (matrix.mH @ matrix).abs()
        return float((gram - torch.diag(gram.diag())).max() / gram.diag().min())

    for init_of, unitary in (("first", False), ("all", True)):
        head = extractor(init_of=init_of)
        for block in list(head.masks)[1:]:
            assert (slant(block.first[1]) < 0.15) == unitary
    assert UNetConfig().init == "rayleigh"


def test_polar_masks_have_a_modulus_below_one_and_keep_their_phase():
    torch.manual_seed(0)
    masks = 3 * torch.randn(2, 6, 4, 5).double()
    masks[0, :, 0, 0] = 0
    free, bound = pairs.to_complex(masks), pairs.to_complex(bounded(masks))
    torch.testing.assert_close(bound.abs(), free.abs().tanh(), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(bound * free.abs(), free * bound.abs())
    masks.requires_grad_(True)
    assert torch.autograd.gradcheck(bounded, (masks,))
