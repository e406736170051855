"""Masks of frames half way between those that the network hears."""

import pytest
import torch

from cplxsep.config import parse_config
from cplxsep.errors import UsageError
from cplxsep.networks.dual_path import with_means
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.linear import LinearMap
from cplxsep.nn.pairs import to_complex
from cplxsep.nn.stft import STFT


def model(*, half_hop, sample_rate=8000, **changes):
    torch.manual_seed(0)
    shape = {"outer": 8, "channels": [12], "blocks": [2], "states": 4, "half_hop": half_hop}
    values = {"network": "dual-path", "window": 64, "hop": 32, "level": "network"}
    values |= {"sample_rate": sample_rate, "dual_path": shape, **changes}
    config = parse_config({"model": values}, "run.toml")
    separate = SeparationModel(config.model).eval()
    with torch.no_grad():
        for parameter in separate.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return separate


def pair(**changes):
    """A model without masks half way, and one with them that has all its weights."""
    plain, fine = model(half_hop=False, **changes), model(half_hop=True, **changes)
    found = fine.load_state_dict(plain.state_dict(), strict=False)
    assert found.missing_keys == ["network.midway.weight"]
    return plain, fine


@pytest.mark.parametrize("samples", [1, 32, 33, 64, 65, 1000])
def test_every_second_frame_is_one_of_the_whole_hop(samples):
    audio = torch.randn(2, samples)
    plain, fine = STFT(64, 32, "zeros"), STFT(64, 16, "zeros", 2)
    assert (fine.stride, fine.frames(samples)) == (32, 2 * plain.frames(samples) - 1)
    maps = fine(audio)
    torch.testing.assert_close(maps[..., ::2], plain(audio))
    torch.testing.assert_close(fine.inverse(maps, samples)[:, 0], audio, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("samples", [1, 100, 992, 993])
def test_the_networks_own_frames_get_the_masks_that_they_had(samples):
    """It hears what it heard: at every second frame are the sources of the plain network."""
    plain, fine = pair()
    mixture = torch.randn(2, samples)
    before, after = (separate.estimate(mixture).as_spectra() for separate in (plain, fine))
    assert after.shape[-1] == 2 * before.shape[-1] - 1
    torch.testing.assert_close(after[..., ::2], before)


@torch.no_grad()
def test_masks_half_way_begin_as_means_and_learn_what_differs():
    plain, fine = pair()
    mixture = torch.randn(1, 992)
    fine.network.midway.clear()
    heard, sources = fine.estimate(mixture), to_complex(plain.estimate(mixture).as_spectra())
    spectrum = to_complex(plain.stft(mixture))
    masks = (sources / spectrum)[:, :, :-1]
    midway = to_complex(fine.stft(mixture))[:, :, :-1, 1::2]
    expected = (masks[..., :-1] + masks[..., 1:]) / 2 * midway
    spectra = to_complex(heard.as_spectra())[:, :, :-1, 1::2]
    torch.testing.assert_close(spectra, expected, rtol=1e-3, atol=1e-3)
    fine.network.midway.weight += 0.1
    spectra = to_complex(fine.estimate(mixture).as_spectra())[:, :, :-1, 1::2]
    assert (spectra - expected).abs().max() > 0.1


@torch.no_grad()
def test_errors_of_single_masks_cancel():
    """Of masks with independent errors, more windows over each sample keep less."""
    torch.manual_seed(0)
    audio = torch.randn(1, 8000)
    left = []
    for stft in (STFT(64, 32, "zeros"), STFT(64, 16, "zeros", 2)):
        maps = stft(audio)
        errors = stft.inverse(maps * (1 + 0.3 * torch.randn_like(maps)), 8000)[:, 0] - audio
        left.append(errors.square().mean().item())
    assert left[1] < 0.7 * left[0]


def test_an_even_kernel_lies_half_way():
    """Of frames that grow evenly, its mean is what lies between two."""
    torch.manual_seed(0)
    ramp = torch.arange(7.0).expand(1, 4, 7)[..., None]
    mean = LinearMap(1, 1, (1, 4))
    with torch.no_grad():
        mean.weight.fill_(0.25)
    inside = mean(ramp)[0, 0, 1:-1, 0]
    torch.testing.assert_close(inside, torch.arange(1.5, 5))
    maps, more = torch.randn(2, 3, 5, 4), torch.randn(2, 3, 4, 4)
    found = with_means(maps, more)
    assert torch.equal(found[:, :, ::2], maps)
    torch.testing.assert_close(found[:, :, 1::2] - more, (maps[:, :, :-1] + maps[:, :, 1:]) / 2)


@pytest.mark.parametrize("samples", [1, 63, 992])
@pytest.mark.parametrize("sources", [1, 3])
def test_any_number_of_sources_any_length_and_every_gradient(samples, sources):
    separate = model(half_hop=True, sources=sources)
    found = separate(torch.randn(2, samples))
    assert found.shape == (2, sources, samples)
    found.square().mean().backward()
    for name, parameter in separate.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or samples < 992, name


def test_at_another_rate_it_has_the_same_weights_and_hops():
    separate = model(half_hop=True, rates=[8000, 16000])
    assert (separate.hop, separate.stft.hop) == (32, 16)
    wide = separate.at(16000)
    assert (wide.hop, wide.stft.hop, wide.stft.window) == (64, 32, 128)
    assert wide(torch.randn(1, 2000)).shape == (1, 2, 2000)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"dual_path": {"half_hop": True, "causal": True}}, "half_hop and causal exclude"),
        ({"dual_path": {"half_hop": True, "correction": True}}, "half_hop and correction exclude"),
        (
            {"dual_path": {"half_hop": True}, "window": 64, "hop": 31},
            "hop must be even, it is odd at 8000",
        ),
    ],
)
def test_what_does_not_go_with_it_is_one_clear_line(section, words):
    with pytest.raises(UsageError, match=words) as caught:
        parse_config({"model": {"network": "dual-path", "level": "network"} | section}, "run.toml")
    assert "\n" not in str(caught.value)
