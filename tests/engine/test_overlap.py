import numpy as np
import pytest

from cplxsep.engine.overlap import ACTIVE_FRAMES, CLEAR, CLEAR_MATCH, Overlap
from cplxsep.engine.speech_level import SpeechLevel

FRAME, FRAMES = 256, 40
ALL = (0, FRAMES)


def level():
    found = SpeechLevel()
    found.adapt(np.ones((2, FRAMES)))
    return found


def sources(seed=0, talkers=2):
    shape = (talkers, FRAMES * FRAME)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def between(before, chunk, shared=20):
    return Overlap.between(before, (FRAMES - shared) * FRAME, chunk, FRAME, level())


def shifted(before, shared=20):
    """A chunk that begins with the last frames of the one before."""
    return np.concatenate([before[:, -shared * FRAME :], sources(1, len(before))], axis=1)


@pytest.mark.parametrize("talkers", [2, 3])
def test_the_same_sources_lead_by_as_much_as_is_clear(talkers):
    before = sources(0, talkers)
    order = np.roll(np.arange(talkers), 1)
    match = between(before, shifted(before)[order]).match(ALL, ALL)
    # Source j here is source order[j] there.
    assert np.argmax(match, axis=1).tolist() == np.argsort(order).tolist()
    pair = match[0, np.argsort(order)[0]] + match[1, np.argsort(order)[1]]
    assert pair == pytest.approx(CLEAR, rel=0.3)


@pytest.mark.parametrize("levels", [(1, 0, 0), (1, 0.3, 0.3), (1, 0, 0, 0)])
def test_no_exchange_of_two_is_surer_than_can_be(levels):
    """Regression: one of four who speaks led by 64 nats."""
    before = np.array(levels, np.float32)[:, None] * sources(0, len(levels))
    match = between(before, shifted(before)).match(ALL, ALL)
    own = np.diag(match)
    assert (own[:, None] + own - match - match.T).max() == pytest.approx(CLEAR)


def test_what_agrees_a_little_only_is_not_clear():
    before = sources()
    after = shifted(before)
    after[:, : 20 * FRAME] = 0.1 * after[:, : 20 * FRAME] + sources(5)[:, : 20 * FRAME]
    match = between(before, after).match(ALL, ALL)
    lead = np.trace(match) - np.trace(match[::-1])
    old, new = before[:, -20 * FRAME :], after[:, : 20 * FRAME]
    inner = old @ new.T / np.sqrt(np.square(old).sum() * np.square(new).sum())
    expected = (np.trace(inner) - np.trace(inner[::-1])) / CLEAR_MATCH * CLEAR
    assert 0.05 * CLEAR < lead < 0.5 * CLEAR
    assert lead == pytest.approx(expected, rel=1e-4)


def test_passages_have_what_is_of_their_own_time():
    before = sources()
    after = shifted(before)
    # Ten frames of the overlap lie before a swap, ten behind it.
    after[:, 10 * FRAME : 20 * FRAME] = after[::-1, 10 * FRAME : 20 * FRAME]
    overlap = between(before, after)
    early, late = overlap.match((20, 30), ALL), overlap.match((30, 40), ALL)
    assert np.trace(early) > np.trace(early[::-1]) + 0.7 * CLEAR
    assert np.trace(late[::-1]) > np.trace(late) + 0.7 * CLEAR
    np.testing.assert_allclose(overlap.match(ALL, (0, 10)), early)
    np.testing.assert_allclose(overlap.match((30, 40), (5, 20)), late)
    assert not overlap.match((20, 30), (10, 40)).any()


def test_nothing_is_told_where_nobody_speaks_or_nothing_is_shared():
    before = sources()
    assert not between(1e-4 * before, shifted(1e-4 * before)).match(ALL, ALL).any()
    overlap = between(before, shifted(before))
    assert not overlap.match(ALL, (20, FRAMES)).any()
    assert not overlap.match((0, 20), ALL).any()


def test_frames_count_that_both_chunks_have_speech_in():
    before = sources()
    after = shifted(before)
    after[:, : 10 * FRAME] = 0
    overlap = between(before, after)
    np.testing.assert_allclose(overlap.match(ALL, ALL), overlap.match(ALL, (10, 20)))


def test_a_word_counts_for_less_and_its_level_for_nothing():
    before = sources()
    overlap = between(before, shifted(before))
    few = overlap.match(ALL, (0, ACTIVE_FRAMES - 3))
    many = overlap.match(ALL, (0, ACTIVE_FRAMES))
    assert 0 < np.trace(few) < 0.6 * np.trace(many)
    louder = between(before, 2 * shifted(before)).match(ALL, (0, ACTIVE_FRAMES))
    np.testing.assert_allclose(louder, many, rtol=1e-6)
