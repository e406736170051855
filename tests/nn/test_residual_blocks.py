"""Blocks in bytes beside what they are to compute, stated in whole steps."""

import pytest
import torch
import torch.nn.functional as F
from native_code import needs_bytes

from cplxsep.nn.recurrence import statement
from cplxsep.nn.residual_blocks import REACH, NativeBlocks

CHANNELS, STATES = 48, 32


def stepped(values, step):
    return (values / step).round().clamp(-127, 127) * step


def by_row(values):
    """Rows (..., C) in 127 steps each."""
    return stepped(values, values.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127)


def normed(maps, gain, bias):
    """Norms of maps, and their steps, fixed for each channel."""
    step = (REACH * gain.abs() + bias.abs()) / 127
    return stepped(F.layer_norm(maps, (CHANNELS,), gain, bias), step), step


def snr(expected, found):
    return 10 * torch.log10(expected.square().sum() / (expected - found).square().sum())


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(shape, generator=generator)

    return drawn


@pytest.mark.parametrize("frames", [1, 13, 14, 40])
@pytest.mark.parametrize("causal", [False, True])
def test_a_local_block(draw, frames, causal):
    needs_bytes()
    maps, gain, bias = draw(2, 5, frames, CHANNELS), 1 + 0.3 * draw(CHANNELS), draw(CHANNELS)
    conv, out = draw(CHANNELS, CHANNELS, 3, 3) / 20, draw(CHANNELS, CHANNELS) / 7
    seen, step = normed(maps, gain, bias)
    # Columns of the matrix that is multiplied with whole steps.
    kernel = by_row((conv * step[:, None, None]).flatten(1)).view_as(conv) / step[:, None, None]
    padded = F.pad(seen.permute(0, 3, 1, 2), (2, 0, 1, 1) if causal else (1, 1, 1, 1))
    hidden = by_row(F.silu(F.conv2d(padded, kernel).permute(0, 2, 3, 1)))
    expected = hidden @ by_row(out).t()
    blocks, found = NativeBlocks(torch.int8), maps.clone()
    blocks.local(found, blocks.local_weights((gain, bias), conv, out), causal, None)
    assert snr(expected, found - maps) > 50


@pytest.mark.parametrize("along", ["bands", "frames", "past frames"])
def test_a_recurrent_block(draw, along):
    needs_bytes()
    maps, gain, bias = draw(2, 5, 40, CHANNELS), 1 + 0.3 * draw(CHANNELS), draw(CHANNELS)
    into, out = draw(6 * STATES, CHANNELS) / 7, draw(CHANNELS, 4 * STATES) / 11
    of_states, theta = draw(6 * STATES), draw(2, STATES)
    seen, step = normed(maps, gain, bias)
    projection = seen @ (by_row(into * step) / step).t()
    states = statement.loop(projection, of_states, theta, along)
    expected = by_row(states) @ by_row(out).t()
    blocks, found = NativeBlocks(torch.int8), maps.clone()
    weights = blocks.recurrent_weights((gain, bias), into, (of_states, theta), out)
    blocks.recurrent(found, weights, along, None)
    assert snr(expected, found - maps) > 50


def test_silence_and_columns_of_zeros(draw):
    needs_bytes()
    maps, zero = torch.zeros(1, 2, 15, CHANNELS), torch.zeros(CHANNELS)
    conv, out = torch.zeros(CHANNELS, CHANNELS, 3, 3), draw(CHANNELS, CHANNELS)
    blocks = NativeBlocks(torch.int8)
    blocks.local(maps, blocks.local_weights((zero, zero), conv, out), False, None)
    assert not maps.any()
