import numpy as np
import pytest

from cplxsep.engine.overlap import ACTIVE_FRAMES, CLEAR, Overlap
from cplxsep.engine.speech_level import SpeechLevel

FRAME, FRAMES = 256, 40
STAY, SWAPPED = np.array([0, 1]), np.array([1, 0])


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
    match = between(before, shifted(before)[order]).match([(0, np.arange(talkers))], 0, FRAMES)
    # Source j here is source order[j] there.
    assert np.argmax(match, axis=1).tolist() == np.argsort(order).tolist()
    pair = match[0, np.argsort(order)[0]] + match[1, np.argsort(order)[1]]
    assert pair == pytest.approx(CLEAR, rel=0.3)


def test_the_orders_of_the_chunk_before_are_followed():
    before = sources()
    overlap = between(before, shifted(before))
    whole = overlap.match([(0, STAY)], 0, 20)
    np.testing.assert_allclose(overlap.match([(0, SWAPPED)], 0, 20), whole[::-1])
    # Ten frames of the overlap lie before the change of order, ten behind it.
    pieces = [(0, STAY), (30, SWAPPED)]
    np.testing.assert_allclose(overlap.match(pieces, 0, 10), overlap.match([(0, STAY)], 0, 10))
    swapped = overlap.match([(0, SWAPPED)], 10, 20)
    np.testing.assert_allclose(overlap.match(pieces, 10, 20), swapped)


def test_nothing_is_told_where_nobody_speaks_or_nothing_is_shared():
    before = sources()
    overlap = between(1e-4 * before, shifted(1e-4 * before))
    assert not overlap.match([(0, STAY)], 0, FRAMES).any()
    assert not between(before, shifted(before)).match([(0, STAY)], 20, FRAMES).any()


def test_a_word_counts_for_less_and_its_level_for_nothing():
    before = sources()
    overlap = between(before, shifted(before))
    few = overlap.match([(0, STAY)], 0, ACTIVE_FRAMES - 3)
    many = overlap.match([(0, STAY)], 0, ACTIVE_FRAMES)
    assert 0 < np.trace(few) < 0.6 * np.trace(many)
    louder = between(before, 2 * shifted(before)).match([(0, STAY)], 0, ACTIVE_FRAMES)
    np.testing.assert_allclose(louder, many, rtol=1e-6)
