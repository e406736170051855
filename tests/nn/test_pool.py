"""Halving by pooling: against complex operators, other libraries, and by what must hold."""

import complextorch.nn as complextorch
import pytest
import torch
import torchcvnn.nn as torchcvnn

from cplxsep.nn.pairs import from_complex, to_complex
from cplxsep.nn.pool import COMPLEX_POOLS, REAL_POOLS, AveragePool, MaxModulusPool, SpectralPool

POOLS = sorted(COMPLEX_POOLS)


def random_values(shape=(2, 3, 8, 6), dtype=torch.complex128):
    torch.manual_seed(0)
    return torch.randn(shape, dtype=dtype)


def apply(pool, values):
    return to_complex(pool(from_complex(values)))


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 8), (7, 1), (16, 12)])
def test_any_size_is_halved_rounding_up(name, size):
    out = COMPLEX_POOLS[name]()(torch.randn(2, 4, *size))
    assert out.shape == (2, 4, (size[0] + 1) // 2, (size[1] + 1) // 2)


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
def test_gradients(name, size):
    maps = from_complex(random_values((1, 2, *size))).requires_grad_()
    assert torch.autograd.gradcheck(COMPLEX_POOLS[name](), maps)


@pytest.mark.parametrize("name", POOLS)
def test_turning_the_input_turns_the_output(name):
    values, turn = random_values(), torch.polar(torch.ones(()), torch.tensor(1.1))
    pool = COMPLEX_POOLS[name]()
    torch.testing.assert_close(apply(pool, turn * values), turn * apply(pool, values))


@pytest.mark.parametrize("name", POOLS)
def test_bfloat16_and_channels_last(name):
    maps = from_complex(random_values(dtype=torch.complex64)).to(torch.bfloat16)
    pool = COMPLEX_POOLS[name]()
    out = pool(maps.contiguous(memory_format=torch.channels_last))
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), pool(maps.float()), rtol=0.02, atol=0.02)


def test_the_largest_modulus_is_taken_in_every_plane():
    values = random_values()
    blocks = values.unflatten(3, (3, 2)).unflatten(2, (4, 2)).transpose(3, 4).flatten(4)
    best = blocks.abs().argmax(-1, keepdim=True)
    torch.testing.assert_close(apply(MaxModulusPool(), values), blocks.gather(-1, best)[..., 0])
    theirs = complextorch.MagMaxPool2d(2)(values)
    torch.testing.assert_close(apply(MaxModulusPool(), values), theirs)


def test_average_is_the_complex_mean():
    values = random_values()
    torch.testing.assert_close(apply(AveragePool(), values), complextorch.AvgPool2d(2)(values))
    single = values.to(torch.complex64)
    torch.testing.assert_close(apply(AveragePool(), single), torchcvnn.AvgPool2d(2, 2)(single))


def spectral_by_complex_dft(values):
    """Frequencies below half the new length on both axes, of the complex DFT."""
    spectrum = torch.fft.fft2(values, norm="forward")
    size = [(n + 1) // 2 for n in values.shape[2:]]
    small = torch.zeros(*values.shape[:2], *size, dtype=values.dtype)
    below = [[k for k in range(-m, m) if 2 * abs(k) < m] for m in size]
    for i in below[0]:
        for j in below[1]:
            small[:, :, i, j] = spectrum[:, :, i, j]
    return torch.fft.ifft2(small, norm="forward")


@pytest.mark.parametrize("size", [(8, 6), (16, 4), (7, 5), (2, 2), (1, 3)])
def test_spectral_pooling_crops_the_complex_dft(size):
    values = random_values((2, 3, *size))
    torch.testing.assert_close(apply(SpectralPool(), values), spectral_by_complex_dft(values))


def test_spectral_pooling_keeps_a_low_tone_exactly():
    """Sampled at every second position; the mean of each 2x2 would weaken and shift it."""
    f, t = torch.meshgrid(torch.arange(16), torch.arange(8), indexing="ij")
    turns = 3 * f.double() / 16 - t.double() / 8
    tone = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)[None, None]
    torch.testing.assert_close(apply(SpectralPool(), tone), tone[:, :, ::2, ::2])
    ours, theirs = apply(SpectralPool(), tone), complextorch.SpectralPool2d((8, 4))(tone)
    torch.testing.assert_close(ours, theirs * (ours.flatten()[0] / theirs.flatten()[0]))


def test_real_maps_have_the_same_pools_but_for_the_maximum():
    maps = torch.randn(2, 3, 8, 6)
    assert set(REAL_POOLS) == set(COMPLEX_POOLS)
    torch.testing.assert_close(
        REAL_POOLS["max"]()(maps), torch.nn.functional.max_pool2d(maps, 2), rtol=0, atol=0
    )
