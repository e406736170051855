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


def test_a_hop_over_half_the_window_is_refused():
    with pytest.raises(ValueError, match="half the window"):
        STFT(256, 129)


def test_gradcheck_of_the_round_trip():
    stft = STFT(8, 4).double()
    audio = torch.randn(1, 20).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: stft.inverse(stft(x) ** 3, 20), audio)
