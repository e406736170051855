"""STFT: exact inverse, the published layout, any length."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cplxsep.nn.stft import STFT


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1, 3000), window=st.sampled_from([64, 256, 512]))
def test_inverse_of_any_length_is_exact(samples, window):
    stft = STFT(window, window // 2)
    audio = torch.randn(2, samples)
    maps = stft(audio)
    assert maps.shape == (2, 2, window // 2 + 1, stft.frames(samples))
    torch.testing.assert_close(stft.inverse(maps, samples)[:, 0], audio, atol=1e-5, rtol=1e-5)


def test_layout_follows_the_published_reader():
    """One hop of zeros appended, reflected half window at each end, periodic Hann (SPEC 2)."""
    audio = torch.randn(1, 1000)
    appended = torch.nn.functional.pad(audio, (0, 128))
    expected = torch.stft(
        appended, 256, 128, window=torch.hann_window(256), center=True, return_complex=True
    )
    maps = STFT()(audio)
    assert maps.shape[-1] == 1 + (1000 + 128) // 128
    torch.testing.assert_close(maps, torch.stack([expected.real, expected.imag], dim=1))


@settings(max_examples=30, deadline=None)
@given(samples=st.integers(1, 3000), sizes=st.sampled_from([(64, 32), (64, 16), (96, 32)]))
def test_inverse_of_any_length_is_exact_with_zeros_around(samples, sizes):
    stft = STFT(*sizes, "zeros")
    audio = torch.randn(2, samples)
    maps = stft(audio)
    assert maps.shape == (2, 2, sizes[0] // 2 + 1, stft.frames(samples))
    torch.testing.assert_close(stft.inverse(maps, samples)[:, 0], audio, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("samples", [1, 31, 32, 33, 100])
def test_with_zeros_around_it_is_the_dft_of_each_window(samples):
    """Frame t is centred on sample t * hop; what is beyond the audio counts as zero."""
    torch.manual_seed(0)
    window, hop = 64, 32
    stft = STFT(window, hop, "zeros").double()
    audio = torch.randn(1, samples).double()
    n = torch.arange(window)
    hann = torch.sin(torch.pi * n.double() / window).square()
    turns = torch.outer(torch.arange(window // 2 + 1), n).double() * (2 * torch.pi / window)
    frames = -(-samples // hop) + 1
    assert stft.frames(samples) == frames
    wide = torch.zeros(frames * hop + window).double()
    wide[hop : hop + samples] = audio[0]
    segments = torch.stack([wide[t * hop : t * hop + window] * hann for t in range(frames)], dim=1)
    expected = torch.stack([turns.cos() @ segments, -turns.sin() @ segments])
    # The window is kept in float32.
    torch.testing.assert_close(stft(audio)[0], expected, atol=1e-5, rtol=0)


def test_a_hop_over_half_the_window_is_refused():
    with pytest.raises(ValueError, match="half the window"):
        STFT(256, 129)


def test_gradcheck_of_the_round_trip():
    stft = STFT(8, 4).double()
    audio = torch.randn(1, 20).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: stft.inverse(stft(x) ** 3, 20), audio)
