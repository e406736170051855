"""Blocks in bytes beside what they are to compute, stated in whole steps."""

import pytest
import torch
import torch.nn.functional as F
from native_code import needs_amx, needs_bf16, needs_bytes

from cplxsep.nn.native import amx, build
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


@pytest.mark.parametrize("channels", [16, 32, 48, 96])
@pytest.mark.parametrize("frames", [1, 32, 70])
def test_bytes_by_amx_are_those_of_vectors_to_the_last_bit(draw, monkeypatch, channels, frames):
    """Sums of whole numbers are exact, in whatever steps they are taken."""
    needs_amx()
    maps, gain, bias = draw(2, 5, frames, channels), 1 + 0.3 * draw(channels), draw(channels)
    local = draw(channels, channels, 3, 3) / 20, draw(channels, channels) / 7
    into, out = draw(6 * STATES, channels) / 7, draw(channels, 4 * STATES) / 11
    of_states = draw(6 * STATES), draw(2, STATES)
    by_amx = NativeBlocks(torch.int8)
    build.library.cache_clear()
    monkeypatch.setattr(amx, "allowed", lambda: False)
    by_vectors, found = NativeBlocks(torch.int8), []
    build.library.cache_clear()
    for blocks in (by_amx, by_vectors):
        assert blocks.amx == (blocks is by_amx)
        found.append(maps.clone())
        blocks.local(found[-1], blocks.local_weights((gain, bias), *local), False, None)
        weights = blocks.recurrent_weights((gain, bias), into, of_states, out)
        for along in ("bands", "frames"):
            blocks.recurrent(found[-1], weights, along, None)
    assert torch.equal(*found)
    assert not torch.equal(found[0], maps)


def test_what_lies_behind_few_channels_is_no_part_of_them(draw):
    """AMX reads further than 16 channels; there are what earlier maps left, here no numbers."""
    needs_bf16()
    into, out = draw(6 * STATES, 16) / 4, draw(16, 4 * STATES) / 11
    norm = torch.ones(16), torch.zeros(16)
    blocks = NativeBlocks(torch.bfloat16)
    weights = blocks.recurrent_weights(norm, into, (draw(6 * STATES), draw(2, STATES)), out)
    for frames in (64, 1, 31, 33):
        bad = torch.full((1, 2, 64, 16), torch.nan)
        blocks.recurrent(bad, weights, "frames", None)
        maps = draw(1, 2, frames, 16)
        blocks.recurrent(maps, weights, "frames", None)
        assert maps.isfinite().all()


def test_amx_is_asked_for_where_it_may_be(monkeypatch):
    ask = amx.allowed.__wrapped__
    assert ask() == ask()
    monkeypatch.setattr(amx.platform, "machine", lambda: "aarch64")
    assert not ask()
    monkeypatch.setattr(amx.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(amx.platform, "system", lambda: "Darwin")
    assert not ask()
