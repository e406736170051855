from itertools import pairwise, permutations

import numpy as np
import pytest

from cplxsep.engine.joint_order import HAIR, STAYS, WINDOW, JointOrder
from cplxsep.engine.voices import evidence

DIMENSIONS = 64
DOUBT = 0.5  # variance of what a passage tells of a voice
SILENCE = np.zeros((2, DIMENSIONS))


def voice(number, doubt=DOUBT):
    """What a passage tells of the voice that far from the mean in every dimension."""
    return np.stack([np.full(DIMENSIONS, 1 / doubt), np.full(DIMENSIONS, number / doubt)])


def follow(order, *heard, behind=True, shared=()):
    """Passages of what the sources tell, of one chunk, or each of a chunk of its own."""
    frames = [(10 * index if behind else 0, 10 * index + 10) for index in range(len(heard))]
    return [
        order.add(each, 10, np.stack(voices), shared)
        for each, voices in zip(frames, heard, strict=True)
    ]


def found(*heard, talkers=2, **options):
    order = JointOrder(talkers)
    passages = follow(order, *heard, **options)
    order.climb()
    return [settled.order.tolist() for settled in order.settle(passages)]


def likelihood(heard, orders, stays):
    """Of all passages in some orders, as its definition says."""
    voices = np.stack([each[order] for each, order in zip(heard, orders, strict=True)])
    kept = sum((one == other).sum() for one, other in pairwise(orders))
    return evidence(voices.sum(0)).sum() + stays / 2 * kept


def test_the_likelihood_of_voices_is_that_of_two_covariances():
    # One dimension: N(0, [[1 + v, 1], [1, 1 + v]]) against two apart, each N(0, 1 + v).
    one, other = (np.array([[1 / DOUBT], [x / DOUBT]]) for x in (1.0, 0.3))
    a = 1 + DOUBT
    together = -0.5 * np.log(a * a - 1) - (a - 2 * 0.3 + a * 0.09) / (2 * (a * a - 1))
    apart = -0.5 * np.log(a * a) - (1 + 0.09) / (2 * a)
    ratio = evidence(one + other) - evidence(one) - evidence(other)
    assert ratio == pytest.approx(together - apart)


def test_talkers_keep_their_places_though_outputs_swap():
    one, other = voice(1), voice(-1)
    swapped = [(one, other), (other, one), (other, one), (one, other)]
    assert found(*swapped) == [[0, 1], [1, 0], [1, 0], [0, 1]]


def test_a_second_talker_behind_a_pause_gets_a_place_of_their_own():
    assert found((voice(1), SILENCE), (voice(-1), SILENCE)) == [[0, 1], [1, 0]]
    assert found((voice(1), SILENCE), (voice(1), SILENCE)) == [[0, 1], [0, 1]]


def test_what_is_heard_later_settles_what_was_in_doubt():
    like = [(voice(0.6), SILENCE), (voice(0.2), SILENCE)]
    assert found(*like) == [[0, 1], [0, 1]]
    assert found(*like, *[(voice(0.6), voice(0.2))] * 8)[:2] == [[0, 1], [1, 0]]


def test_where_nothing_tells_the_order_stays():
    assert found((voice(1), voice(-1)), (SILENCE, SILENCE)) == [[0, 1], [0, 1]]
    swapped = [(voice(1), voice(-1)), (voice(-1), voice(1))]
    assert found(*swapped, (SILENCE, SILENCE))[2] == [1, 0]
    # In a new chunk too, by a hair.
    assert found(*swapped, (SILENCE, SILENCE), behind=False)[2] == [1, 0]


@pytest.mark.parametrize("behind", [True, False])
def test_no_other_order_of_all_passages_is_likelier(behind):
    rng, either = np.random.default_rng(0), np.array([[0, 1], [1, 0]])
    for _ in range(20):
        talkers = 0.5 * rng.standard_normal((2, DIMENSIONS))
        heard = []
        for _ in range(6):
            mean = talkers[rng.permutation(2)] + np.sqrt(DOUBT) * rng.standard_normal((2, 64))
            heard.append(np.stack([np.full((2, 64), 1 / DOUBT), mean / DOUBT], axis=1))
        stays = STAYS if behind else HAIR
        best = max(likelihood(heard, either[list(which)], stays) for which in np.ndindex(*[2] * 6))
        orders = np.array(found(*heard, behind=behind))
        assert likelihood(heard, orders, stays) == pytest.approx(best)


def test_three_talkers_keep_their_places_in_any_order_of_outputs():
    talkers = [voice(1), voice(-1), np.stack([voice(0)[0], np.tile([2.0, -2.0], 32)])]
    orders = [*permutations(range(3))]
    given = found(*[[talkers[i] for i in order] for order in orders], talkers=3)
    assert given == [np.argsort(order).tolist() for order in orders]


def test_what_is_shared_with_the_chunk_before_tells():
    order = JointOrder(2)
    before = follow(order, (voice(1), voice(-1)))
    shared = [(before[0], np.array([[0.0, 8.0], [0.0, 0.0]]))]
    now = follow(order, (SILENCE, SILENCE), behind=False, shared=shared)
    order.climb()
    order.settle(before)
    (settled,) = order.settle(now)
    assert settled.order.tolist() == [1, 0]
    assert settled.overlap == pytest.approx(8)
    assert settled.voice == 0
    assert settled.lead == pytest.approx(8 - HAIR)


def test_a_passage_that_leans_on_one_in_doubt_is_in_doubt_too():
    order = JointOrder(2)
    sure = [(voice(1), voice(-1))] * 3
    before = follow(order, *sure, (voice(0.01, 9.0), SILENCE))
    shared = [(before[-1], 4 * np.eye(2))]
    now = follow(order, (SILENCE, SILENCE), behind=False, shared=shared)
    order.climb()
    *_, last_sure, doubtful = order.settle(before)
    (leaning,) = order.settle(now)
    assert last_sure.lead > 20
    assert doubtful.lead < STAYS + 1
    assert leaning.lead == pytest.approx(doubtful.lead)
    assert leaning.overlap == pytest.approx(8)


def test_talkers_keep_the_name_of_most_that_they_were_given_as():
    order = JointOrder(2)
    passages = follow(order, *[(voice(1), voice(-1))] * 3)
    order.climb()
    assert [settled.order.tolist() for settled in order.settle(passages)] == [[0, 1]] * 3
    for passage in passages[:2]:  # as if they had been taken for each other
        passage.given = np.array([1, 0])
    (settled,) = order.settle(follow(order, (voice(1), voice(-1)), behind=False))
    assert settled.order.tolist() == [1, 0]


def test_the_first_to_be_heard_have_the_networks_own_order():
    assert found((voice(1), voice(-1)))[0] == [0, 1]
    order = JointOrder(3)
    (settled,) = order.settle(follow(order, [voice(1)] * 3))
    assert settled.order.tolist() == [0, 1, 2]
    assert settled.lead == np.inf
    assert order.settle([]) == []


def test_old_passages_are_closed_and_not_forgotten():
    order, given = JointOrder(2), []
    for index in range(WINDOW + 5):
        heard = (voice(1), voice(-1))[:: -1 if index % 3 else 1]
        passages = follow(order, heard)
        order.climb()
        given += [settled.order.tolist() for settled in order.settle(passages)]
    assert given == [[1, 0] if index % 3 else [0, 1] for index in range(WINDOW + 5)]
    assert len(order._open) == WINDOW
    # Nothing that is closed is held on to by what is not.
    first = order._open[0].links[0].earlier
    assert first not in order._open
    assert first.links == []
    # All that was heard counts: a passage alone would be taken for the other's half.
    (settled,) = order.settle(follow(order, (SILENCE, voice(1)), behind=False))
    assert settled.order.tolist() == [1, 0]


def test_passages_that_are_held_back_stay_open():
    order = JointOrder(2)
    passages = follow(order, *[(voice(1), voice(-1))] * (WINDOW + 5))
    order.settle(passages[1:])
    assert len(order._open) == WINDOW + 5
    order.settle(passages[:1])
    assert len(order._open) == WINDOW
