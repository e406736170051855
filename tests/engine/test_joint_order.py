from itertools import pairwise, permutations

import numpy as np
import pytest

from cplxsep.engine import followed, joint_order
from cplxsep.engine.joint_order import (
    GOES_ON,
    HAIR,
    LONGEST,
    MOST,
    STAYS,
    WINDOW,
    JointOrder,
    _crossing,
)
from cplxsep.engine.voices import evidence

DIMENSIONS = 64
DOUBT = 0.5  # variance of what a passage tells of a voice
SILENCE = np.zeros(DIMENSIONS + 1)
TWO = [[2.0, -2.0], [-2.0, 2.0]]  # voices apart from those of `voice`


def told(heard):
    """As if a talker sounded the same in every passage, and doubt were all in how much is heard."""
    sums, frames = heard[..., :-1], heard[..., -1:]
    return np.stack([np.broadcast_to(frames, sums.shape), sums], axis=-2)


@pytest.fixture(autouse=True)
def one_sound(monkeypatch):
    for module in (joint_order, followed):
        monkeypatch.setattr(module, "told", told)


def voice(number, doubt=DOUBT):
    """What is heard of the voice that far from the mean in every dimension."""
    return np.append(np.full(DIMENSIONS, number / doubt), 1 / doubt)


def follow(order, *heard, behind=True, shared=(), speech=10):
    """Passages of what the sources tell, of one chunk, or each of a chunk of its own.

    Of one stretch each, or of as many as there are rows of what is heard.
    """
    frames = [(10 * index if behind else 0, 10 * index + 10) for index in range(len(heard))]
    passages = []
    for each, voices in zip(frames, heard, strict=True):
        stretches = np.reshape(np.stack(voices), (-1, np.shape(voices)[-2], DIMENSIONS + 1))
        said = np.broadcast_to(speech, stretches.shape[:2])
        begins = each[0] + np.arange(len(stretches))
        passages.append(order.add(each, begins, said, stretches, shared))
    return passages


def orders_of(settled):
    """The orders of passages of one stretch."""
    assert all(len(each.orders) == 1 for each in settled)
    return [each.orders[0].tolist() for each in settled]


def found(*heard, talkers=2, **options):
    order = JointOrder(talkers)
    passages = follow(order, *heard, **options)
    order.climb()
    return orders_of(order.settle(passages))


def likelihood(heard, orders, stays):
    """Of all passages in some orders, as its definition says."""
    voices = np.stack([each[order] for each, order in zip(heard, orders, strict=True)])
    kept = sum((one == other).sum() for one, other in pairwise(orders))
    return evidence(told(voices.sum(0))).sum() + stays / 2 * kept


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
            heard.append(np.append(mean, np.ones((2, 1)), axis=1) / DOUBT)
        stays = STAYS if behind else HAIR
        best = max(likelihood(heard, either[list(which)], stays) for which in np.ndindex(*[2] * 6))
        orders = np.array(found(*heard, behind=behind))
        assert likelihood(heard, orders, stays) == pytest.approx(best)


def test_three_talkers_keep_their_places_in_any_order_of_outputs():
    talkers = [voice(1), voice(-1), np.append(np.tile([2.0, -2.0], 32), 1 / DOUBT)]
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
    assert settled.orders.tolist() == [[1, 0]]
    assert settled.overlap == pytest.approx(8)
    assert settled.voice == 0
    assert settled.lead == pytest.approx(8 - HAIR)


def test_what_is_shared_with_a_swapped_passage_tells_of_its_talkers():
    order = JointOrder(2)
    _, before = follow(order, (voice(1), voice(-1)), (voice(-1), voice(1)))
    (now,) = follow(order, (SILENCE, SILENCE), behind=False, shared=[(before, 4 * np.eye(2))])
    assert before.orders.tolist() == now.orders.tolist() == [[1, 0]]


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
    assert orders_of(order.settle(passages)) == [[0, 1]] * 3
    for passage in passages[:2]:  # as if they had been taken for each other
        passage.give(np.array([[1, 0]]))
    (settled,) = order.settle(follow(order, (voice(1), voice(-1)), behind=False))
    assert settled.orders.tolist() == [[1, 0]]


def test_more_speech_weighs_more_in_a_name():
    order = JointOrder(2)
    long = follow(order, (voice(1), voice(-1)), speech=30)
    short = follow(order, *[(voice(1), voice(-1))] * 2)
    order.settle([*long, *short])
    for passage in short:
        passage.give(np.array([[1, 0]]))
    (settled,) = order.settle(follow(order, (voice(1), voice(-1)), behind=False))
    assert settled.orders.tolist() == [[0, 1]]


def test_those_who_are_silent_do_not_name_anybody():
    """Regression: while one of three spoke the others, taken for each other, kept false names."""
    order = JointOrder(3)
    one, *others = voice(1.5), *(np.append(np.tile(row, 32), 1 / DOUBT) for row in TWO)
    (first,) = follow(order, (one, *others), speech=[30, 20, 20])
    order.settle([first])
    (alone,) = follow(order, (one, SILENCE, SILENCE), behind=False, speech=[100, 0, 0])
    order.settle([alone])
    for each in (alone, first):
        each.give(np.array([[0, 2, 1]]))
    (settled,) = order.settle(follow(order, (one, *others), behind=False))
    assert settled.orders.tolist() == [[0, 2, 1]]
    alone.give(np.array([[0, 1, 2]]))  # what nobody could hear
    (settled,) = order.settle(follow(order, (one, *others), behind=False))
    assert settled.orders.tolist() == [[0, 2, 1]]


def test_who_is_who_of_those_who_say_nothing_is_in_no_doubt():
    """Regression: where one of three spoke every joint was told as a guess."""
    order = JointOrder(3)
    passages = follow(order, *[(voice(1), SILENCE, SILENCE)] * 5, speech=[10, 0, 0])
    order.climb()
    settled = order.settle(passages)
    assert min(one.lead for one in settled) > 20
    assert min(one.voice for one in settled) > 20


@pytest.mark.parametrize(("speech", "told"), [([10, 10, 10], 0), ([10, 0, 0], 8)])
def test_what_tells_of_all_who_are_heard_counts(speech, told):
    order = JointOrder(3)
    before = follow(order, (voice(1), SILENCE, SILENCE))
    shared = [(before[0], np.diag([8.0, 0.0, 0.0]))]
    now = follow(order, (voice(1), SILENCE, SILENCE), shared=shared, speech=speech)
    (settled,) = order.settle(now)
    assert settled.overlap == pytest.approx(told)
    assert (settled.voice > 10) == (told > 0)


ONE_WAY, OTHER_WAY = (voice(0.3), voice(-0.3)), (voice(-0.3), voice(0.3))


def divided(*stretches, before=3):
    """What becomes of a passage behind so many that tell of the voices."""
    order = JointOrder(2)
    first = follow(order, *[ONE_WAY] * before)
    (passage,) = follow(order, stretches, behind=False)
    order.climb()
    order.divide()
    order.climb()
    order.settle(first)
    (settled,) = order.settle([passage])
    return settled


def test_talkers_who_change_places_amid_speech_are_followed():
    settled = divided(ONE_WAY, ONE_WAY, OTHER_WAY, OTHER_WAY, ONE_WAY)
    assert settled.orders.tolist() == [[0, 1]] * 2 + [[1, 0]] * 2 + [[0, 1]]
    assert np.isinf(settled.leads).tolist() == [True, True, False, True, False]
    assert settled.leads.min() > 4


def test_a_passage_tells_nothing_of_its_own_order():
    """Where nobody was heard before, nothing tells which of two ways is right amid speech."""
    settled = divided(ONE_WAY, ONE_WAY, OTHER_WAY, OTHER_WAY, before=0)
    assert settled.orders.tolist() == [[0, 1]] * 4


def test_speech_goes_on_unless_voices_tell_enough():
    faint = voice(-0.3, 20.0), voice(0.3, 20.0)
    settled = divided(ONE_WAY, ONE_WAY, faint, ONE_WAY)
    assert settled.orders.tolist() == [[0, 1]] * 4
    assert (settled.leads == np.inf).all()


@pytest.mark.parametrize("which", [0, 2])
def test_what_chunks_share_tells_of_the_stretches_at_their_ends(which):
    order = JointOrder(2)
    *_, before = follow(order, *[ONE_WAY] * 3)
    crossed = 500 * np.eye(2)[::-1]
    shared = [(before, crossed)] if which == 0 else []
    (passage,) = follow(order, [ONE_WAY] * 3, behind=False, shared=shared)
    shared = [(passage, crossed)] if which == 2 else []
    (behind,) = follow(order, ONE_WAY, behind=False, shared=shared)
    for each in (passage, behind):  # as the network gave them
        each.follow(np.tile([0, 1], (len(each.heard), 1)))
    order.divide()
    assert [list(row) == [1, 0] for row in passage.orders] == [at == which for at in range(3)]


def test_three_who_change_places_amid_speech_are_followed():
    talkers = np.stack([voice(1), voice(-1), np.append(np.tile([2.0, -2.0], 32), 1 / DOUBT)])
    order, orders = JointOrder(3), [*permutations(range(3))]
    first = follow(order, *[talkers] * 2)
    (passage,) = follow(order, talkers[orders], behind=False)
    order.climb()
    order.divide()
    assert passage.orders.tolist() == [np.argsort(each).tolist() for each in orders]
    assert all(each.orders.tolist() == [[0, 1, 2]] for each in first)


def test_more_than_five_are_not_followed_amid_speech():
    order = JointOrder(MOST + 1)
    talkers = np.stack([voice(number) for number in np.linspace(-2, 2, MOST + 1)])
    follow(order, talkers)
    (passage,) = follow(order, np.stack([talkers, talkers[::-1]]), behind=False)
    order.divide()
    assert (passage.orders[0] == passage.orders[1]).all()


def test_what_was_given_is_not_divided():
    order = JointOrder(2)
    follow(order, *[ONE_WAY] * 3)
    (passage,) = follow(order, [ONE_WAY, OTHER_WAY], behind=False)
    order.settle([passage])
    order.divide()
    assert passage.orders.tolist() == passage.given.tolist() == [[0, 1]] * 2
    assert GOES_ON > STAYS


def test_a_divided_passage_is_named_by_what_was_said_in_each_stretch():
    order = JointOrder(2)
    follow(order, *[ONE_WAY] * 3)
    (passage,) = follow(order, [ONE_WAY, OTHER_WAY], behind=False, speech=[[9, 1], [2, 4]])
    order.climb()
    order.divide()
    assert passage.said.tolist() == [13, 3]
    order.settle(order._open)
    assert passage.agreed.tolist() == [[13, 0], [0, 3]]


def test_what_is_no_number_ends_the_climb():
    """Regression: `separate` hung for ever."""
    order = JointOrder(2)
    follow(order, (voice(1), voice(-1)), (np.full(DIMENSIONS + 1, np.nan), SILENCE))
    order.climb()


def test_passages_that_share_nothing_are_not_linked():
    """Regression: each was, to all of the chunk before: gigabytes where a chunk is a minute."""
    order = JointOrder(2)
    before = follow(order, *[(voice(1), voice(-1))] * 3)
    shared = [(passage, np.zeros((2, 2))) for passage in before[:2]] + [(before[2], np.eye(2))]
    (now,) = follow(order, (voice(1), voice(-1)), behind=False, shared=shared)
    assert [link.earlier for link in now.links] == [before[2], before[2]]


def test_links_count_where_one_end_is_in_a_block():
    rng, count = np.random.default_rng(0), 7
    earlier = rng.integers(-1, count - 1, 20)
    here = np.array([rng.integers(max(first, 0) + (first >= 0), count) for first in earlier])
    gains = rng.standard_normal(20)
    found = _crossing(np.stack([earlier, here], axis=1), gains, count)
    for begin, end in zip(*np.triu_indices(count + 1, 1), strict=True):
        inside = [(begin <= ends) & (ends < end) for ends in (earlier, here)]
        assert found[begin, end] == pytest.approx(gains[inside[0] != inside[1]].sum())


def test_more_than_the_longest_block_is_put_right():
    order, count = JointOrder(2), 2 * LONGEST
    swapped = [(voice(0.2), voice(-0.2))] * count + [(voice(-0.2), voice(0.2))] * (count + 1)
    passages = follow(order, *swapped)
    for passage in passages:  # as the network gave them
        passage.follow(np.array([[0, 1]]))
    order.climb()
    orders = [passage.orders[0].tolist() for passage in passages]
    assert orders in (
        [[0, 1]] * count + [[1, 0]] * (count + 1),
        [[1, 0]] * count + [[0, 1]] * (count + 1),
    )


def test_the_first_to_be_heard_have_the_networks_own_order():
    assert found((voice(1), voice(-1)))[0] == [0, 1]
    order = JointOrder(3)
    (settled,) = order.settle(follow(order, [voice(1)] * 3))
    assert settled.orders.tolist() == [[0, 1, 2]]
    assert settled.lead == np.inf
    assert order.settle([]) == []


def test_old_passages_are_closed_and_not_forgotten():
    order, given = JointOrder(2), []
    for index in range(WINDOW + 5):
        heard = (voice(1), voice(-1))[:: -1 if index % 3 else 1]
        passages = follow(order, heard)
        order.climb()
        given += orders_of(order.settle(passages))
    assert given == [[1, 0] if index % 3 else [0, 1] for index in range(WINDOW + 5)]
    assert len(order._open) == WINDOW
    # Nothing that is closed is held on to by what is not.
    first = order._open[0].links[0].earlier
    assert first not in order._open
    assert first.links == []


@pytest.fixture
def closing(monkeypatch):
    """An order of which two passages stay open, and of which six were given."""
    monkeypatch.setattr(joint_order, "WINDOW", 2)
    order = JointOrder(2)
    order.settle(follow(order, *[(voice(1), voice(0.5))] * 4, *[(SILENCE, voice(0.5))] * 2))
    assert len(order._open) == 2
    return order


def test_what_closed_passages_told_of_voices_counts(closing):
    # It is nearer to the one who was heard of late than to a talker of whom nothing is known.
    (now,) = follow(closing, (SILENCE, voice(0.9)), behind=False)
    assert now.orders.tolist() == [[1, 0]]
    closing.climb()
    (settled,) = closing.settle([now])
    assert settled.orders.tolist() == [[1, 0]]


def test_names_of_closed_passages_count(closing):
    for passage in closing._open:
        passage.give(np.array([[1, 0]]))
    (settled,) = closing.settle(follow(closing, (SILENCE, SILENCE), behind=False))
    assert settled.orders.tolist() == [[0, 1]]


def test_links_to_closed_passages_hold(monkeypatch):
    monkeypatch.setattr(joint_order, "WINDOW", 2)
    order = JointOrder(2)
    order.settle(follow(order, *[(SILENCE, SILENCE)] * 6))
    assert order.settle(order._open[-1:])[0].lead == pytest.approx(STAYS)


def test_what_is_open_may_be_less_than_half_of_all(closing):
    now = follow(closing, (SILENCE, SILENCE), behind=False, speech=15)
    shared = [(now[0], 4 * np.eye(2))]
    now += follow(closing, (SILENCE, SILENCE), behind=False, shared=shared, speech=15)
    assert closing.settle(now)[-1].lead == pytest.approx(HAIR)


def test_passages_that_are_held_back_stay_open():
    order = JointOrder(2)
    passages = follow(order, *[(voice(1), voice(-1))] * (WINDOW + 5))
    order.settle(passages[1:])
    assert len(order._open) == WINDOW + 5
    order.settle(passages[:1])
    assert len(order._open) == WINDOW
