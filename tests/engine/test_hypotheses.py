import numpy as np
import pytest

from cplxsep.engine import hypotheses
from cplxsep.engine.hypotheses import BEAM, Hypothesis, extended
from cplxsep.engine.voices import Voice


@pytest.fixture(autouse=True)
def numbers_for_voices(monkeypatch):
    """A voice is a number, and likeness falls with the square of how far two are apart."""

    def likeness(known, heard, new):
        scores = np.full((len(known), len(heard)), new)
        for i, one in enumerate(known):
            for j, other in enumerate(heard):
                if other is None:
                    scores[i, j] = 0.0
                elif one is not None:
                    scores[i, j] = 6.0 - 3.0 * float(one.mean - other.mean) ** 2
        return scores

    monkeypatch.setattr(hypotheses, "likeness", likeness)


def voice(number, frames=30.0):
    return Voice(frames, np.float64(number))


def through(*chunks):
    """Hypotheses after chunks of passages of (voice of source 0, of source 1)."""
    found = [Hypothesis.first(2)]
    for passages in chunks:
        found = [each.next_chunk(10) for each in found]
        for first, heard in enumerate(passages):
            found = extended(found, list(heard), None, first, first + 1)
    return found


def orders(hypothesis):
    return [[passage.order.tolist() for passage in chunk] for chunk in hypothesis.chunks]


def test_the_best_one_is_first_and_scores_are_behind_it():
    found = through([(voice(0), None), (voice(9), None)], [(voice(9), voice(0))])
    scores = [each.score for each in found]
    assert scores[0] == 0
    assert scores == sorted(scores, reverse=True)
    assert orders(found[0]) == [[[0, 1], [1, 0]], [[1, 0]]]
    assert [float(one.mean) for one in found[0].voices] == [0, 9]


def test_what_is_heard_later_settles_what_was_in_doubt():
    first = [(voice(0), None), (voice(1.4), None)]
    assert orders(through(first)[0]) == [[[0, 1], [0, 1]]]
    both = [(voice(0), voice(1.4))]
    assert orders(through(first, both)[0]) == [[[0, 1], [1, 0]], [[0, 1]]]


def test_no_more_are_followed_than_the_beam_is_wide():
    passages = [(voice(0), None)] + [(voice(1.4), None)] * 9
    assert len(through(passages)) == BEAM


def test_before_anybody_is_heard_there_is_one():
    assert len(through([(None, None), (None, None)])) == 1
    assert len(through([(voice(0), voice(9))])) == 1


def test_only_so_many_chunks_are_kept():
    one = Hypothesis.first(2)
    for _ in range(5):
        one = one.next_chunk(2).silent()
    assert orders(one) == [[[0, 1]]] * 3
    assert one.chunks[0][0].told == "silence"


def test_half_of_a_talker_is_no_new_one():
    (found,) = through([(voice(0, 60), voice(0.5))])
    assert found.voices == (voice(0, 60), None)


def test_what_leaks_is_no_new_talker():
    (found,) = through([(voice(0, 60), voice(9, 14.0))])
    assert found.voices[1] is None
