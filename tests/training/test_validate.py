"""What validation measures of conversations."""

import numpy as np
import pytest
import torch

from cplxsep.errors import InputError
from cplxsep.training.distributed import Ranks
from cplxsep.training.stop import Stopped
from cplxsep.training.validate import validate

RATE = 8000


class Talks:
    """Talker 1 from 0 to 3 s, talker 2 from 2 to 4 s."""

    def example(self, index):
        rng = np.random.default_rng(index)
        sources = 0.1 * rng.standard_normal((2, 4 * RATE)).astype(np.float32)
        sources[0, 3 * RATE :] = 0
        sources[1, : 2 * RATE] = 0
        return sources.sum(axis=0), sources


class Leaky:
    """Knows the sources, in another order, but for a trace of the mixture in each."""

    sample_rate = RATE

    def __init__(self, leak):
        self.leak = leak
        self.calls = 0

    def estimate(self, mixtures):
        self.calls += len(mixtures)
        truth = [Talks().example(self.calls - len(mixtures) + at)[1] for at in range(len(mixtures))]
        self.audio = torch.from_numpy(np.stack(truth))[:, [1, 0]] + self.leak * mixtures[:, None]
        return self

    def as_audio(self):
        return self.audio


def quality(leak, **options):
    settings = {"conversations": True, "autocast": None, "stop": lambda: False} | options
    return validate(Leaky(leak), Talks(), 3, 2, ranks=Ranks(device=torch.device("cpu")), **settings)


@pytest.mark.parametrize("leak", [0.3, 0.03])
def test_conversations_by_where_several_talk_and_where_one_does(leak):
    found = quality(leak)
    # The talkers are at 0 dB in the mixture: what leaks is `leak / (1 + leak)` of an estimate.
    expected = 20 * np.log10((1 + leak) / leak)
    assert found.si_sdr_i == pytest.approx(expected, abs=0.5)
    assert found.isolation == pytest.approx(expected, abs=0.3)


def test_a_stop_is_heard():
    with pytest.raises(Stopped):
        quality(0.1, stop=lambda: True)


def test_without_conversations_nothing_is_said_of_lone_talkers():
    assert quality(0.1, conversations=False).isolation is None


def test_conversations_in_which_nobody_talks_over_another_cannot_be_scored(monkeypatch):
    whole = Talks.example

    def apart(self, index):
        _, sources = whole(self, index)
        sources[0, 2 * RATE :] = 0
        return sources.sum(axis=0), sources

    monkeypatch.setattr(Talks, "example", apart)
    with pytest.raises(InputError, match=r"raise conversation\.overlap"):
        quality(0.1)


def test_mixtures_with_a_silent_talker_are_not_scored(monkeypatch):
    """Regression: SI-SDR against silence drew the score, by which the best model is chosen."""
    whole = Talks.example
    silent = {0}

    def some_silent(self, index):
        _, sources = whole(self, index)
        if index in silent:
            sources[1] = 0
        return sources.sum(axis=0), sources

    expected = quality(0.1, conversations=False).si_sdr_i
    monkeypatch.setattr(Talks, "example", some_silent)
    assert quality(0.1, conversations=False).si_sdr_i == pytest.approx(expected, abs=0.1)
    silent.update((1, 2))
    with pytest.raises(InputError, match=r"all talkers are heard: raise data\.valid_seconds"):
        quality(0.1, conversations=False)
