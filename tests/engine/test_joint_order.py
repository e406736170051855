from itertools import pairwise, permutations

import numpy as np
import pytest

from cplxsep.engine import joint_order, voices
from cplxsep.engine.joint_order import (
    GOES_ON,
    HAIR,
    LONGEST,
    STAYS,
    WINDOW,
    JointOrder,
    _crossing,
    _divided,
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
    monkeypatch.setattr(joint_order, "told", told)


def voice(number, doubt=DOUBT):
    """What is heard of the voice that far from the mean in every dimension."""
    return np.append(np.full(DIMENSIONS, number / doubt), 1 / doubt)


def follow(order, *heard, behind=True, amid=False, shared=(), speech=10):
    """Passages of what the sources tell, of one chunk, or each of a chunk of its own.

    Of one chunk they are behind pauses, or stretches of one passage.
    """
    frames = [(10 * index if behind else 0, 10 * index + 10) for index in range(len(heard))]
    return [
        order.add(
            each,
            np.broadcast_to(speech, len(voices)),
            np.stack(voices),
            shared,
            amid=amid and each[0] > 0,
        )
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


@pytest.mark.parametrize(
    ("where", "stays"),
    [({"behind": True}, STAYS), ({"behind": False}, HAIR), ({"amid": True}, GOES_ON)],
)
def test_no_other_order_of_all_passages_is_likelier(where, stays):
    rng, either = np.random.default_rng(0), np.array([[0, 1], [1, 0]])
    for _ in range(20):
        talkers = 0.5 * rng.standard_normal((2, DIMENSIONS))
        heard = []
        for _ in range(6):
            mean = talkers[rng.permutation(2)] + np.sqrt(DOUBT) * rng.standard_normal((2, 64))
            heard.append(np.append(mean, np.ones((2, 1)), axis=1) / DOUBT)
        best = max(likelihood(heard, either[list(which)], stays) for which in np.ndindex(*[2] * 6))
        orders = np.array(found(*heard, **where))
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
    assert settled.order.tolist() == [1, 0]
    assert settled.overlap == pytest.approx(8)
    assert settled.voice == 0
    assert settled.lead == pytest.approx(8 - HAIR)


def test_what_is_shared_with_a_swapped_passage_tells_of_its_talkers():
    order = JointOrder(2)
    _, before = follow(order, (voice(1), voice(-1)), (voice(-1), voice(1)))
    (now,) = follow(order, (SILENCE, SILENCE), behind=False, shared=[(before, 4 * np.eye(2))])
    assert before.order.tolist() == now.order.tolist() == [1, 0]


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


def test_more_speech_weighs_more_in_a_name():
    order = JointOrder(2)
    long = follow(order, (voice(1), voice(-1)), speech=30)
    short = follow(order, *[(voice(1), voice(-1))] * 2)
    order.settle([*long, *short])
    for passage in short:
        passage.given = np.array([1, 0])
    (settled,) = order.settle(follow(order, (voice(1), voice(-1)), behind=False))
    assert settled.order.tolist() == [0, 1]


def test_those_who_are_silent_do_not_name_anybody():
    """Regression: while one of three spoke the others, taken for each other, kept false names."""
    order = JointOrder(3)
    one, *others = voice(1.5), *(np.append(np.tile(row, 32), 1 / DOUBT) for row in TWO)
    (first,) = follow(order, (one, *others), speech=[30, 20, 20])
    order.settle([first])
    (alone,) = follow(order, (one, SILENCE, SILENCE), behind=False, speech=[100, 0, 0])
    order.settle([alone])
    alone.given = first.given = np.array([0, 2, 1])
    (settled,) = order.settle(follow(order, (one, *others), behind=False))
    assert settled.order.tolist() == [0, 2, 1]
    alone.given = np.array([0, 1, 2])  # what nobody could hear
    (settled,) = order.settle(follow(order, (one, *others), behind=False))
    assert settled.order.tolist() == [0, 2, 1]


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


def test_stretches_that_go_on_are_not_asked():
    order = JointOrder(2)
    stretches = follow(order, *[(voice(1), voice(-1))] * 3, (voice(-1), voice(1)), amid=True)
    order.climb()
    first, *same, swapped = order.settle(stretches)
    assert first.lead > 20
    assert [each.lead for each in same] == [np.inf] * 2
    assert swapped.order.tolist() == [1, 0]
    assert 20 < swapped.lead < np.inf


def test_all_of_a_passage_tells_of_its_order():
    """What the first stretch of a passage tells of the others is nothing of what was before it."""
    order = JointOrder(2)
    before = follow(order, (SILENCE, SILENCE))
    shared = [(before[0], 2 * np.eye(2))]
    stretches = follow(order, *[(voice(1), voice(-1))] * 4, behind=True, amid=True, shared=shared)
    settled = order.settle(stretches)[0]
    assert settled.voice == pytest.approx(0)
    assert settled.overlap == pytest.approx(4 * 4)


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


def test_of_each_passage_what_is_in_a_block_is_told_apart_from_what_is_not(monkeypatch):
    monkeypatch.setattr(joint_order, "told", voices.told)
    rng, count = np.random.default_rng(0), 9
    heard = np.append(
        rng.standard_normal((count, 2, DIMENSIONS)), rng.integers(20, size=(count, 2, 1)), axis=2
    )
    starts = np.array([0, 1, 4, 8])
    begins, ends = np.triu_indices(count + 1, 1)
    block, rest = _divided(heard, starts, begins, ends)
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        within, without, before = (np.zeros((2, 2, DIMENSIONS)) for _ in range(3))
        for first, stop in pairwise([*starts, count]):
            first_in, stop_in = np.clip([begin, end], first, stop)
            if first_in < stop_in:
                within += voices.told(heard[first_in:stop_in].sum(axis=0))
                without += voices.told(heard[first:first_in].sum(axis=0))
                without += voices.told(heard[stop_in:stop].sum(axis=0))
                before += voices.told(heard[first:stop].sum(axis=0))
        np.testing.assert_allclose(block[number], within, atol=1e-9)
        np.testing.assert_allclose(rest[number], without - before, atol=1e-9)


def test_a_long_passage_tells_little_more_than_a_short_one():
    """Regression: ten stretches of one utterance counted as ten utterances, and half a minute of
    one talker was given as the other's."""
    embedded = np.ones((12, DIMENSIONS))
    stretch = voices.heard_of(embedded)
    one, ten = voices.told(stretch), voices.told(10 * stretch)
    assert (ten[0] < 5 * one[0]).all()
    np.testing.assert_allclose(ten[1] / ten[0], 1)
    np.testing.assert_allclose(voices.told(voices.heard_of(embedded[:0])), 0)


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
        passage.order = np.array([0, 1])
    order.climb()
    orders = [passage.order.tolist() for passage in passages]
    assert orders in (
        [[0, 1]] * count + [[1, 0]] * (count + 1),
        [[1, 0]] * count + [[0, 1]] * (count + 1),
    )


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
    assert now.order.tolist() == [1, 0]
    closing.climb()
    (settled,) = closing.settle([now])
    assert settled.order.tolist() == [1, 0]


def test_names_of_closed_passages_count(closing):
    for passage in closing._open:
        passage.given = np.array([1, 0])
    (settled,) = closing.settle(follow(closing, (SILENCE, SILENCE), behind=False))
    assert settled.order.tolist() == [0, 1]


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
