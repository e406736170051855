"""Who speaks when in a conversation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import babble

from cplxsep.audio.level import active_rms
from cplxsep.data.turns import Voice, converse, talk_throughout
from cplxsep.data_config import ConversationConfig

RATE = 8000


def voices(count=2, seconds=9.0, seed=0):
    """Talkers who say a constant each, so that whoever is heard can be told from the numbers."""
    rng = np.random.default_rng(seed)
    length = round(seconds * RATE)
    return [Voice(3, lambda _: np.ones(length, np.float32), RATE, rng) for _ in range(count)]


def talk(seed=0, seconds=60.0, count=2, **changes):
    config = ConversationConfig(share=1.0, **changes)
    rng = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    return converse(voices(count, seed=seed), samples, RATE, config, rng)


def speaking(sources):
    """How many talk at each sample."""
    return (np.abs(sources) > 0).sum(axis=0)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 1.0])
def test_the_overlap_is_what_was_asked_for(ratio):
    found = []
    for seed in range(8):
        count = speaking(talk(seed, overlap=(ratio, ratio), pauses=0.0))
        found.append((count > 1).sum() / (count > 0).sum())
    # Turns of different lengths overlap by a share of the shorter: less in all than of equal ones.
    assert 0.55 * ratio <= np.mean(found) <= ratio + 0.02


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
    count = speaking(talk_throughout(voices(seconds=3.0), 20 * RATE))
    assert (count == 2).mean() > 0.98


def test_a_voice_has_one_level_and_reads_on():
    said = [babble(6.0, RATE, seed) * gain for seed, gain in ((1, 1.0), (2, 0.01))]
    voice = Voice(2, said.__getitem__, RATE, np.random.default_rng(0))
    pieces = [voice.take(2 * RATE) for _ in range(6)]
    levels = [active_rms(piece, RATE) for piece in pieces]
    assert max(levels) / min(levels) < 3
    whole = np.concatenate(pieces[:3])
    first = said[0] if len(whole) else said[1]
    assert len(whole) <= len(first)
    assert not np.array_equal(pieces[0][: RATE // 2], pieces[1][: RATE // 2])


def test_a_cut_falls_where_the_talker_is_softest():
    audio = np.ones(6 * RATE, np.float32)
    audio[17000:17600] = 0.0
    voice = Voice(1, lambda _: audio, RATE, np.random.default_rng(0))
    assert 17000 <= len(voice.take(2 * RATE)) <= 17600


def test_a_conversation_depends_on_its_numbers_alone():
    np.testing.assert_array_equal(talk(3), talk(3))
    assert not np.array_equal(talk(3), talk(4))
