"""A causal model in the engine: block by block as all at once, and soon."""

import numpy as np
import pytest
import torch
from native_code import needs_compiler

from cplxsep.config import ModelConfig
from cplxsep.engine.fused.choice import choose
from cplxsep.engine.fused.registry import NATIVE
from cplxsep.engine.offset import OffsetFilter
from cplxsep.engine.separator import Separator
from cplxsep.errors import InputError
from cplxsep.networks.model import SeparationModel
from cplxsep.networks.signal_stream import SignalStream

WINDOW = 256  # samples at 8 kHz
CPU = torch.device("cpu")


def model(sources=1, **shape):
    torch.manual_seed(0)
    sizes = {"outer": 16, "channels": (32,), "blocks": (2,), "states": 16, "causal": True}
    config = ModelConfig(
        network="dual-path", level="network", sources=sources, rates=(8000, 16000),
        dual_path=sizes | shape,
    )  # fmt: skip
    made = SeparationModel(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return made


def noise(samples):
    return 0.1 * np.random.default_rng(0).standard_normal(samples).astype(np.float32)


def near(found, expected, decibels):
    error = np.square(found - expected).sum()
    return 10 * np.log10(np.square(expected).sum() / error) > decibels if error else True


@pytest.mark.parametrize("samples", [1, 1000, 5003])
@pytest.mark.parametrize("size", [1, 129, 5003])
@torch.inference_mode()
def test_native_code_is_the_network_in_any_blocks(samples, size):
    needs_compiler()
    made = model(sources=2)
    form, kind = choose(made, CPU, None)
    assert kind == NATIVE
    signal = torch.from_numpy(noise(2 * samples).reshape(2, samples))
    expected = made(signal)
    assert near(form(signal).numpy(), expected.numpy(), 100)
    stream = SignalStream(form)
    parts = [stream(block) for block in signal.split(size, dim=1)]
    parts.append(stream(signal[:, :0], last=True))
    assert near(torch.cat(parts, dim=-1).numpy(), expected.numpy(), 100)


@torch.inference_mode()
def test_in_bfloat16_it_is_near():
    needs_compiler()
    made = model()
    form, kind = choose(made, CPU, torch.bfloat16)
    if kind != NATIVE:
        pytest.skip("the CPU has no bfloat16 products")
    signal = torch.from_numpy(noise(5003))[None]
    stream = SignalStream(form)
    parts = [stream(block) for block in signal.split(700, dim=1)]
    found = torch.cat([*parts, stream(signal[:, :0], last=True)], dim=-1)
    assert near(found.numpy(), made(signal).numpy(), 30)


@pytest.mark.parametrize("options", [{}, {"rest": True}, {"sum_to_mix": True}], ids=str)
@pytest.mark.parametrize("size", [1, 128, 5003])
def test_blocks_of_any_length_give_the_same(options, size):
    separator, signal = Separator(model(2), precision="fp32", chunk=0.5), noise(5003)
    if size == 1:
        signal = signal[:700]
    blocks = np.split(signal, range(size, len(signal), size))
    found = np.concatenate([*separator.stream(blocks, 8000, **options)], axis=1)
    assert found.shape == (2 + bool(options.get("rest")), len(signal))
    assert near(found, separator(signal, 8000, **options), 90)


@pytest.mark.parametrize("above", ["keep", "follow"])
def test_the_band_above_goes_the_same_way_in_blocks(above):
    separator, signal = Separator(model(), precision="fp32", chunk=0.5), noise(44100)
    blocks = np.split(signal, range(1000, len(signal), 1000))
    found = np.concatenate([*separator.stream(blocks, 44100, above=above)], axis=1)
    assert near(found, separator(signal, 44100, above=above), 60)
    assert not near(found, separator(signal, 44100), 20)


def test_it_is_the_network_less_what_is_below_speech():
    made, signal = model(), noise(9000) + 0.2
    heard = torch.from_numpy(OffsetFilter(8000)(signal))[None]
    with torch.inference_mode():
        expected = made(heard)[0].numpy()
    assert near(Separator(made, precision="fp32", chunk=0.5)(signal, 8000), expected, 90)
    assert not OffsetFilter(8000)(np.full(100, 0.3, np.float32)).any()


def test_outputs_lag_a_window_behind():
    separator, given, found = Separator(model(), chunk=8.0), 0, 0

    def live():
        nonlocal given
        for block in np.split(noise(3000), range(160, 3000, 160)):
            given += len(block)
            yield block

    for part in separator.stream(live(), 8000):
        found += part.shape[1]
        if given < 3000:
            assert given - WINDOW <= found <= given
    assert found == 3000


def test_no_samples_give_none_and_silence_gives_silence():
    separator = Separator(model())
    assert separator(np.zeros(0, np.float32), 8000).shape == (1, 0)
    assert not separator(np.zeros(3000, np.float32), 8000).any()


def test_two_signals_at_once_do_not_mix():
    separator, one, other = Separator(model(), precision="fp32"), noise(4000), noise(8000)[4000:]
    streams = [
        separator.stream(np.split(signal, range(400, 4000, 400)), 8000) for signal in (one, other)
    ]
    pairs = zip(*streams, strict=True)
    found = [np.concatenate(parts, axis=1) for parts in zip(*pairs, strict=True)]
    assert near(found[0], separator(one, 8000), 90)
    assert near(found[1], separator(other, 8000), 90)


def test_samples_far_beyond_1_are_one_clear_line():
    separator = Separator(model(), precision="fp32")
    with pytest.raises(InputError, match="not finite"):
        separator(np.array([1e38, -1e38] * 2000, np.float32), 8000)
