"""The causal dual-path network: what it looks at, and a signal in blocks beside the whole one."""

import pytest
import torch

from cplxsep.config import ModelConfig, parse_config
from cplxsep.errors import UsageError
from cplxsep.networks.model import SeparationModel
from cplxsep.networks.signal_stream import SignalStream
from cplxsep.nn import recurrence
from cplxsep.nn.running_level import RunningLevel
from cplxsep.nn.stft import STFT
from cplxsep.nn.stft_stream import STFTStream

SHAPE = {"outer": 8, "channels": [12], "blocks": [2], "states": 4, "causal": True}
CORRECTED = {"dual_path": {**SHAPE, "correction": True}}


def model(**changes):
    torch.manual_seed(0)
    values = {"network": "dual-path", "window": 64, "hop": 32, "level": "network"}
    config = ModelConfig.model_validate({**values, "dual_path": SHAPE, **changes})
    made = SeparationModel(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return made


def in_blocks(run, signal, lengths):
    """What a stream gives of a signal (B, S) in blocks of these lengths, over and over."""
    parts, at, turn = [], 0, 0
    while at < signal.shape[-1]:
        length = lengths[turn % len(lengths)]
        parts.append(run(signal[..., at : at + length]))
        at, turn = at + length, turn + 1
    return torch.cat([*parts, run(signal[..., :0], last=True)], dim=-1)


@pytest.mark.parametrize("changes", [{}, {"hop": 16}, {"sources": 1}, CORRECTED], ids=str)
@pytest.mark.parametrize("samples", [1, 31, 32, 64, 700])
@pytest.mark.parametrize("lengths", [(1000,), (1,), (7, 0, 90)], ids=str)
@torch.inference_mode()
def test_a_signal_in_blocks_is_the_whole_signal(changes, samples, lengths):
    separate = model(**changes)
    signal = torch.randn(2, samples)
    found = in_blocks(SignalStream(separate), signal, lengths)
    torch.testing.assert_close(found, separate(signal), rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_outputs_lag_a_window_behind():
    separate = model(hop=16)
    stream, given, found = SignalStream(separate), 0, 0
    for length in (5, 16, 100, 1, 1, 33, 64):
        found += stream(torch.randn(1, length)).shape[-1]
        given += length
        assert given - 64 <= found <= given


@torch.inference_mode()
def test_what_comes_later_changes_nothing_before():
    separate, signal = model(), torch.randn(1, 2000)
    other = signal.clone()
    other[:, 1000:] = 5 * torch.randn(1, 1000)
    expected, found = separate(signal), separate(other)
    assert torch.equal(found[..., : 1000 - 64], expected[..., : 1000 - 64])
    assert not torch.allclose(found[..., 1000:], expected[..., 1000:])


@torch.inference_mode()
def test_a_network_that_is_not_causal_looks_ahead():
    separate, signal = model(dual_path=SHAPE | {"causal": False}), torch.randn(1, 2000)
    other = signal.clone()
    other[:, 1000:] = 5 * torch.randn(1, 1000)
    assert not torch.allclose(separate(other)[..., :500], separate(signal)[..., :500])
    with pytest.raises(ValueError, match="not causal"):
        SignalStream(separate)


@torch.inference_mode()
def test_gain_and_silence():
    separate, signal = model(), torch.randn(1, 2000)
    signal[:, :500] = 0
    found = separate(signal)
    assert torch.equal(found[..., : 500 - 64], torch.zeros(1, 2, 500 - 64))
    assert found.isfinite().all()
    torch.testing.assert_close(separate(1e-3 * signal), 1e-3 * found, rtol=1e-3, atol=1e-7)


def test_both_forms_have_the_same_tensors():
    """So that a causal network starts from the weights of one that is not, and the other way."""
    causal, other = model().state_dict(), model(dual_path=SHAPE | {"causal": False}).state_dict()
    assert {k: v.shape for k, v in causal.items()} == {k: v.shape for k, v in other.items()}


def test_it_learns():
    """Gradients reach every parameter."""
    separate = model()
    separate(torch.randn(2, 700)).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in separate.parameters())


@pytest.mark.parametrize("hop", [16, 32, 20])
@pytest.mark.parametrize("samples", [1, 63, 64, 500])
def test_the_stft_in_blocks_is_the_stft(hop, samples):
    stft = STFT(64, hop, "zeros")
    signal = torch.randn(2, samples)
    stream, whole = STFTStream(stft), stft(signal)
    blocks = [stream.frames(block) for block in signal.split(50, dim=-1)]
    blocks.append(stream.frames(signal[:, :0], last=True))
    torch.testing.assert_close(torch.cat(blocks, dim=-1), whole)
    changed = whole * torch.rand_like(whole)  # frames that no signal has
    *first, final = changed.split(3, dim=-1)
    parts = [*map(stream.audio, first), stream.audio(final, last=True)]
    torch.testing.assert_close(torch.cat(parts, dim=-1), stft.inverse(changed, samples))


def test_the_recurrence_goes_on_from_its_last_states():
    torch.manual_seed(0)
    projection, bias, theta = torch.randn(2, 3, 9, 24), torch.randn(24), torch.randn(2, 4)
    whole = recurrence.recurrence(projection, bias, theta, "past frames")
    last, parts = None, []
    for part in projection.split([4, 1, 4], dim=2):
        parts.append(recurrence.continued(part, bias, theta, last))
        last = parts[-1][:, :, -1:]
    torch.testing.assert_close(torch.cat(parts, dim=2), whole)


def test_the_running_level():
    level = RunningLevel(20.0)
    torch.testing.assert_close(level(torch.full((1, 50), 4.0)), torch.full((1, 50), 2.0))
    power, memory = torch.rand(2, 50), {}
    expected = []
    for t in range(50):
        weight = torch.exp(torch.arange(-t, 1.0) / 20)
        expected.append((power[:, : t + 1] * weight).sum(1) / weight.sum())
    expected = torch.stack(expected, 1).sqrt()
    torch.testing.assert_close(level(power), expected)
    parts = [level(part, memory) for part in power.split([1, 30, 19], dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), expected)
    power, memory = torch.rand(1, 2500), {}
    parts = [level(part, memory) for part in power.split(300, dim=1)]
    torch.testing.assert_close(level(power), torch.cat(parts, 1))
    after_silence = level(torch.cat([torch.zeros(1, 1000), torch.ones(1, 1)], 1))
    assert after_silence[0, -1] > 0.1  # at most so much above the level


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"dual_path": {"causal": True, "heads": 4}}, "heads must be 0"),
        ({"dual_path": {"causal": True, "channels": [8, 8], "blocks": [1, 1]}}, "half the frames"),
        ({"dual_path": {"causal": True}, "level": "mixture"}, "level must be network"),
    ],
)
def test_options_that_look_ahead_do_not_go_with_it(section, words):
    with pytest.raises(UsageError, match=words):
        parse_config({"model": {"network": "dual-path", "level": "network"} | section}, "run.toml")
