"""Who speaks when in a conversation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import babble

from cplxsep.audio.level import active_rms
from cplxsep.config import ConversationConfig
from cplxsep.data.turns import Voice, Waveform, converse, one_alone, spoken, talk_throughout

RATE = 8000


def voices(count=2, seconds=9.0):
    """Talkers who say a constant each, so that whoever is heard can be told from the numbers."""
    length = round(seconds * RATE)
    said = Waveform(np.ones(length, np.float32))
    return [Voice([0, 1, 2], lambda _: said, RATE) for _ in range(count)]


def talk(seed=0, seconds=60.0, count=2, **changes):
    config = ConversationConfig(share=1.0, **changes)
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    return spoken(converse(voices(count), samples, RATE, config, rng), count, samples)


def speaking(sources):
    """How many talk at each sample."""
    return (np.abs(sources) > 0).sum(axis=0)


@pytest.mark.parametrize("pauses", [0.0, 0.3])
@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.33, 0.5])
def test_the_overlap_is_what_was_asked_for(ratio, pauses):
    found = []
    for seed in range(6):
        count = speaking(talk(seed, overlap=(ratio, ratio), pauses=pauses))
        found.append((count > 1).sum() / (count > 0).sum())
    # A conversation of a minute may end before it comes to its share.
    assert found == pytest.approx([ratio] * 6, abs=0.15)
    assert np.mean(found) == pytest.approx(ratio, abs=0.06)


@pytest.mark.parametrize("count", [2, 3])
def test_with_full_overlap_somebody_else_talks_nearly_always(count):
    number = speaking(talk(overlap=(1.0, 1.0), pauses=0.0, count=count))
    assert (number > 1).sum() / (number > 0).sum() > 0.9


def test_without_overlap_one_speaks_at_a_time_and_pauses_are_silent():
    count = speaking(talk(overlap=(0.0, 0.0), pauses=1.0))
    assert count.max() == 1
    assert 0.1 < (count == 0).mean() < 0.6
    dense = speaking(talk(overlap=(0.0, 0.0), pauses=0.0))
    assert (dense == 0).mean() < 0.02  # the fades' first samples


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 4), st.floats(0, 1))
def test_nobody_talks_over_oneself_and_all_take_turns(seed, count, ratio):
    sources = talk(seed, count=count, overlap=(ratio, ratio))
    assert sources.max() <= 1.0 + 1e-6  # two pieces of one talker would add up
    assert (np.abs(sources) > 0).any(axis=1).sum() >= 2


def test_turns_last_as_long_as_asked_for():
    sources = talk(overlap=(0.0, 0.0), pauses=1.0, turns=(1.0, 2.0), seconds=120.0)
    edges = np.flatnonzero(np.diff(speaking(sources) > 0))
    lengths = np.diff(edges)[::2] / RATE
    assert lengths.min() >= 0.7
    assert lengths.max() <= 2.6


def test_throughout_means_throughout():
    turns = talk_throughout(voices(seconds=3.0), 20 * RATE)
    count = speaking(spoken(turns, 2, 20 * RATE))
    assert (count == 2).mean() > 0.98


def test_turns_are_where_something_is_said():
    samples = 30 * RATE
    config = ConversationConfig(share=1.0, overlap=(0.2, 0.4))
    turns = converse(voices(), samples, RATE, config, np.random.default_rng(1))
    said = spoken(turns, 2, samples)
    told = np.zeros(said.shape, bool)
    for turn in turns:
        assert not told[turn.talker, turn.start : turn.end].any()
        told[turn.talker, turn.start : turn.end] = True
    assert not said[~told].any()
    assert (said[told] != 0).mean() > 0.99  # but for the first sample of a fade


def test_one_alone_is_one_who_talks_there():
    samples, talked = 30 * RATE, set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        config = ConversationConfig(share=1.0, overlap=(0.0, 0.0))
        turns = converse(voices(), samples, RATE, config, rng)
        left = one_alone(turns, 8 * RATE, 9 * RATE, rng)
        (lone,) = {turn.talker for turn in left}
        assert not spoken(left, 2, samples)[1 - lone].any()
        assert any(turn.start < 9 * RATE and turn.end > 8 * RATE for turn in left)
        talked.add(lone)
    assert talked == {0, 1}


def test_a_voice_has_one_level_and_reads_on():
    said = [babble(6.0, RATE, seed) * gain for seed, gain in ((1, 1.0), (2, 0.01))]
    voice = Voice([1, 0], lambda at: Waveform(said[at]), RATE)
    pieces = [voice.take(2 * RATE).audio for _ in range(6)]
    levels = [active_rms(piece, RATE) for piece in pieces]
    assert max(levels) / min(levels) < 3
    # Behind each other, each a part of one recording.
    for piece in pieces[:2]:
        inside = piece[100:-100] * np.float32(active_rms(said[1], RATE))
        found = np.correlate(said[1], inside, "valid").argmax()
        np.testing.assert_allclose(said[1][found : found + len(inside)], inside, atol=1e-6)
    assert sum(len(piece) for piece in pieces[:3]) <= 6 * RATE


def test_a_cut_falls_where_the_talker_is_softest():
    audio = np.ones(6 * RATE, np.float32)
    audio[17000:17600] = 0.0
    voice = Voice([0], lambda _: Waveform(audio), RATE)
    assert 17000 <= len(voice.take(2 * RATE)) <= 17600


def test_a_conversation_depends_on_its_numbers_alone():
    np.testing.assert_array_equal(talk(3), talk(3))
    assert not np.array_equal(talk(3), talk(4))
