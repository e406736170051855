from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cplxsep.audio.resample import resample
from cplxsep.engine import joint_order
from cplxsep.engine.chunks import ChunkPlan, Cutter
from cplxsep.engine.talker_order import TalkerOrder

RATE = 8000
EXAMPLES = Path(__file__).parents[2] / "examples"
PLAN = ChunkPlan.of(4.0, 0.25, RATE)


def voice(seconds, talker, seed):
    """Speech of a person, 6 s over and over; from another of its moments for each seed."""
    said = heard(talker)
    begin = np.random.default_rng(seed).integers(said.size)
    return np.resize(np.roll(said, -begin), round(seconds * RATE))


@cache
def heard(talker):
    """Two people; those from 2 on are they, slower or faster."""
    audio, rate = soundfile.read(EXAMPLES / f"two_talkers_s{talker % 2 + 1}.wav", dtype="float32")
    audio = resample(audio[None], round(rate * (1, 0.8, 1.25)[talker // 2]), RATE)[0]
    return 0.1 * audio / audio.std()


def follow(sources, *, leak=0.1, gain=1.0, seed=0, plan=PLAN):
    """Order of talkers in each arranged chunk when chunks come leaky and shuffled; the seams."""
    rng = np.random.default_rng(seed)
    cutter, pieces, shuffled = Cutter(plan), [], []
    mixing = np.full((len(sources), len(sources)), leak) + (1 - leak) * np.eye(len(sources))
    chunks = [*cutter.push(np.arange(sources.shape[1])), *cutter.finish()]
    for chunk in chunks:
        piece = (gain * mixing @ sources[:, chunk.samples]).astype(np.float32)
        pieces.append(piece)
        shuffled.append(piece[rng.permutation(len(sources))])
    arranged = through(shuffled, [chunk.start for chunk in chunks])
    found = [
        [int(np.abs(piece - row).sum(axis=1).argmin()) for row in one.sources]
        for piece, one in zip(pieces, arranged, strict=True)
    ]
    return found, [seam for one in arranged for seam in one.seams]


def through(chunks, starts=None):
    """What comes of chunks that begin there, every hop by default."""
    order = TalkerOrder(len(chunks[0]), RATE)
    starts = starts or [index * PLAN.hop for index in range(len(chunks))]
    pushed = [
        one for start, chunk in zip(starts, chunks, strict=True) for one in order.push(start, chunk)
    ]
    return [*pushed, *order.finish()]


@pytest.mark.parametrize("talkers", [(0, 1), (0, 1, 5)])
def test_shuffled_chunks_come_out_in_one_order(talkers):
    found, seams = follow(np.stack([voice(30, i, i) for i in talkers]))
    assert all(order == found[0] for order in found)
    assert any(seam.swapped for seam in seams)
    assert all(0 <= seam.confidence <= 1 for seam in seams)


def test_overlaps_alone_keep_five_in_one_order(monkeypatch):
    monkeypatch.setattr(joint_order, "evidence", lambda voices: np.zeros(voices.shape[:-2]))
    rng = np.random.default_rng(0)
    found, seams = follow(rng.standard_normal((5, 30 * RATE)).astype(np.float32))
    assert all(order == found[0] for order in found)
    assert {seam.method for seam in seams} == {"overlap"}
    assert not any(seam.weak for seam in seams)


def test_one_talker_in_the_overlap_is_enough_despite_leakage(monkeypatch):
    monkeypatch.setattr(joint_order, "evidence", lambda voices: np.zeros(voices.shape[:-2]))
    sources = np.stack([voice(30, 0, 1), voice(30, 0, 2)])
    for start in range(0, sources.shape[1], PLAN.hop):
        sources[1, start : start + PLAN.overlap] = 0
    found, seams = follow(sources, leak=0.2)
    assert all(order == found[0] for order in found)
    assert "overlap" in {seam.method for seam in seams}


def test_silent_overlaps_are_decided_by_voices():
    sources = np.stack([voice(40, 0, 1), voice(40, 1, 2)])
    noise = 1e-4 * np.random.default_rng(3).standard_normal(sources.shape).astype(np.float32)
    for start in range(0, sources.shape[1], PLAN.hop):
        sources[:, start : start + PLAN.overlap] = noise[:, start : start + PLAN.overlap]
    found, seams = follow(sources)
    assert {seam.method for seam in seams[:-1]} == {"voice"}
    assert all(order == found[0] for order in found)


def test_order_stays_when_nothing_tells():
    silent = np.zeros((2, PLAN.length), np.float32)
    # The first words of all: any order is right.
    first = silent.copy()
    first[0, RATE : RATE * 3] = voice(2, 0, 1)
    # A word that is too short for a voice to tell.
    word = silent.copy()
    word[1, RATE * 2 : RATE * 2 + 4 * 256] = loud_word()
    chunks = [silent, silent, first, silent, word]
    arranged = through(chunks)
    for one, chunk in zip(arranged, chunks, strict=True):
        assert np.array_equal(one.sources, chunk)
    seams = [seam for one in arranged for seam in one.seams]
    assert [seam.method for seam in seams] == ["silence", "kept", "silence", "kept"]
    assert [seam.confidence for seam in seams[:3]] == [1, 1, 1]
    assert seams[3].weak
    assert not any(seam.swapped for seam in seams)


def test_doubt_of_what_came_before_the_first_seam_is_told_there():
    """Regression: whoever spoke more behind it was sure to have their own output, by name."""
    silent = np.zeros((2, PLAN.length), np.float32)
    first, word = silent.copy(), silent.copy()
    first[0, RATE : RATE * 3] = voice(2, 0, 1)
    word[1, RATE * 2 : RATE * 2 + 4 * 256] = loud_word()
    *_, one, other = through([word, silent, first, first])
    ((seam,), (next_seam,)) = one.seams, other.seams
    assert seam.weak
    assert not next_seam.weak


def test_one_of_three_who_speaks_alone_is_in_no_doubt():
    sources = np.zeros((3, 30 * RATE), np.float32)
    sources[0] = voice(30, 0, 1)
    starts = range(0, 26 * RATE, PLAN.hop)
    arranged = through([sources[:, start : start + PLAN.length] for start in starts])
    seams = [seam for one in arranged for seam in one.seams]
    assert len(seams) == len(starts) - 1
    assert min(seam.confidence for seam in seams) > 0.9


def test_what_is_heard_later_puts_a_word_right():
    chunks = np.zeros((3, 2, PLAN.length), np.float32)
    chunks[0, 0, :RATE] = voice(1, 0, 1)
    chunks[0, 1, RATE : 3 * RATE - 512] = voice(2, 1, 2)[: 2 * RATE - 512]
    # Too short to tell a voice, and in the output of the first: the second goes on behind it.
    word, begin = loud_word(), PLAN.hop // 256 * 256 + 1024
    chunks[1, 0, begin : begin + len(word)] = word
    goes_on = np.concatenate([word, voice(2, 1, 3)])
    chunks[2, 1, begin - PLAN.hop : begin - PLAN.hop + len(goes_on)] = goes_on
    first, second, third = through(chunks)
    assert np.array_equal(first.sources, chunks[0])
    assert np.array_equal(second.sources, chunks[1, ::-1])
    assert np.array_equal(third.sources, chunks[2])
    (seam,) = second.seams
    assert (seam.method, seam.swapped) == ("voice", True)


def loud_word():
    """Fewer frames of speech than a voice needs."""
    frames = heard(0)[: heard(0).size // 256 * 256].reshape(-1, 256)
    loudest = int(np.square(frames).sum(axis=1).argmax())
    return frames[loudest - 2 : loudest + 2].ravel()


def test_one_talker_split_over_both_outputs_is_not_taken_for_two():
    talker, other = voice(60, 0, 1), voice(60, 1, 2)
    sources, both = np.stack([0.8 * talker, 0.2 * talker]), np.stack([talker, other])
    starts = range(PLAN.hop, 40 * RATE, PLAN.hop)
    given = [
        both[:: -1 if index % 2 else 1, start : start + PLAN.length]
        for index, start in enumerate(starts)
    ]
    _, *found = through([sources[:, : PLAN.length], *given])
    for start, one in zip(starts, found, strict=True):
        assert np.array_equal(one.sources[0], both[0, start : start + PLAN.length])


def test_a_clear_overlap_with_a_chunk_in_doubt_is_in_doubt():
    chunks = np.zeros((3, 2, PLAN.length), np.float32)
    chunks[0, 0, : RATE * 2] = voice(2, 0, 1)
    word = loud_word()
    begin = PLAN.hop // 256 * 256 + 1024
    chunks[1, 0, begin : begin + len(word)] = word
    chunks[2, 1, begin - PLAN.hop : begin - PLAN.hop + len(word)] = word
    arranged = through(chunks)
    # Whichever it is, the word is in one output.
    outputs = [int(np.square(one.sources).sum(axis=1).argmax()) for one in arranged]
    assert outputs[1] == outputs[2]
    (kept,), (told,) = arranged[1].seams, arranged[2].seams
    assert (kept.method, told.method) == ("kept", "overlap")
    assert kept.weak
    assert told.weak


def test_order_is_carried_through_a_long_pause():
    sources = np.stack([voice(60, 0, 1), voice(60, 1, 2)])
    sources[:, 20 * RATE : 40 * RATE] = 0
    found, _ = follow(sources, seed=4)
    talking = [order for i, order in enumerate(found) if not 16 < i * PLAN.hop / RATE < 40]
    assert all(order == talking[0] for order in talking)


def swapping(plan, swaps, seconds=60):
    """Two talkers in turn with pauses of a second, 3 s each, as a network gives them that changes
    its mind behind one pause of each chunk in `swaps`; how they come out, and the seams."""
    sources = np.stack([voice(seconds, 0, 1), voice(seconds, 1, 2)])
    turns = np.arange(sources.shape[1]) // (4 * RATE)
    within = np.arange(sources.shape[1]) % (4 * RATE) < 3 * RATE
    for talker in range(2):
        sources[talker] *= within & (turns % 2 == talker)
    cutter, starts, truths, shown = Cutter(plan), [], [], []
    for index, chunk in enumerate([*cutter.push(np.arange(sources.shape[1])), *cutter.finish()]):
        truth = sources[:, chunk.samples]
        given = truth.copy()
        if index in swaps:
            # In the middle of the first pause of the chunk that has a second of speech before it.
            pauses = (np.arange(2, 5) * 4 - 0.5) * RATE + chunk.start // (4 * RATE) * 4 * RATE
            behind = int(pauses[pauses > chunk.start + 2 * RATE][0]) - chunk.start
            given[:, behind:] = given[::-1, behind:]
        starts.append(chunk.start)
        truths.append(truth)
        shown.append(given)
    arranged = through(shown, starts)
    errors = [
        float(np.square(one.sources - truth).sum() / np.square(truth).sum())
        for truth, one in zip(truths, arranged, strict=True)
    ]
    return errors, [seam for one in arranged for seam in one.seams]


def test_talkers_swapped_behind_a_pause_within_a_chunk_are_put_back():
    errors, seams = swapping(ChunkPlan.of(12.0, 0.25, RATE), swaps={2, 4})
    assert max(errors) < 1e-3
    inside = [seam for seam in seams if seam.swapped and seam.seconds % 9]
    assert [seam.method for seam in inside] == ["voice", "voice"]
    assert all(not seam.weak for seam in inside)


def test_talkers_who_are_not_swapped_stay_in_every_pause():
    errors, seams = swapping(ChunkPlan.of(12.0, 0.25, RATE), swaps=set())
    assert max(errors) == 0
    assert not any(seam.swapped for seam in seams)


@pytest.mark.parametrize("pause", [0.36, 1.0])
def test_a_second_talker_behind_a_pause_gets_an_output_of_their_own(pause):
    given = np.zeros((2, 8 * RATE), np.float32)
    begin = round((4 - pause) * RATE)
    given[0, :begin] = voice(begin / RATE, 0, 1)
    one, other = given.copy(), given.copy()
    one[0, 4 * RATE : 7 * RATE], other[0, 4 * RATE : 7 * RATE] = voice(3, 0, 2), voice(3, 1, 2)
    (same,) = through([one])
    assert np.array_equal(same.sources, one)
    (new,) = through([other])
    assert np.array_equal(new.sources[:, 4 * RATE :], other[::-1, 4 * RATE :])
    (seam,) = new.seams
    assert (seam.method, seam.swapped) == ("voice", True)
    assert 3 < seam.seconds < 4


@pytest.mark.parametrize("swaps", [[10.0], [7.0, 19.0]])
def test_talkers_who_change_places_amid_speech_are_put_back(swaps):
    right = np.stack([voice(30, 0, 1), voice(30, 1, 2)])
    starts = range(0, 26 * RATE, PLAN.hop)
    given = [right[:, start : start + PLAN.length].copy() for start in starts]
    for begin in swaps:
        (at,) = (index for index, start in enumerate(starts) if start == (begin - 1) * RATE)
        given[at][:, RATE:] = given[at][::-1, RATE:]
    arranged = through(given, [*starts])
    wrong = [
        float((one.sources[0] != right[0, one.start : one.start + PLAN.length]).mean())
        for one in arranged
    ]
    assert sum(wrong) * PLAN.length / RATE < 0.6 * len(swaps)
    seams = [seam for one in arranged for seam in one.seams if seam.swapped]
    assert {seam.method for seam in seams} <= {"voice", "overlap"}
    for begin in swaps:
        assert any(abs(seam.seconds - begin) < 0.6 and not seam.weak for seam in seams)


def test_a_voice_is_told_of_by_frames_without_the_others():
    order, powers = TalkerOrder(2, RATE), np.ones((2, 40))
    order._level.adapt(powers)
    assert not order._own(powers, [(0, 40)]).any()
    powers[0, 20:] = 8.0
    first, second = order._own(powers, [(0, 40)])
    assert np.flatnonzero(first).tolist() == [*range(20, 40)]
    assert not second.any()
    # Of the last passage there are too few to know its voice by.
    first, _ = order._own(powers, [(0, 34), (34, 40)])
    assert np.flatnonzero(first).tolist() == [*range(20, 34)]


def test_chunks_come_once_and_in_order():
    sources = np.stack([voice(30, 0, 1), voice(30, 1, 2)])
    order, starts, last = TalkerOrder(2, RATE), [], 0
    for start in range(0, 26 * RATE, PLAN.hop):
        found = [one.start for one in order.push(start, sources[:, start : start + PLAN.length])]
        assert len(found) <= 1
        starts, last = starts + found, start
    held = [one.start for one in order.finish()]
    assert 0 < len(held) < 6
    assert starts + held == list(range(0, last + 1, PLAN.hop))
    assert list(order.finish()) == []


def test_background_noise_does_not_pass_for_speech():
    sources = np.stack([voice(40, 0, 1), voice(40, 1, 2)])
    for start in range(0, sources.shape[1], PLAN.hop):
        sources[:, start : start + PLAN.overlap] = 0
    noise = 0.01 * np.random.default_rng(3).standard_normal(sources.shape).astype(np.float32)
    _, seams = follow(sources + noise)
    assert "overlap" not in {seam.method for seam in seams[:-1]}


@pytest.mark.parametrize("gain", [1e-3, 0.37, 100.0])
def test_decisions_do_not_depend_on_the_level(gain):
    sources = np.stack([voice(30, 0, 1), voice(30, 1, 2)])
    sources[:, 3 * RATE : 8 * RATE] *= 1e-3
    reference, seams = follow(sources)
    found, scaled = follow(sources, gain=gain)
    assert found == reference
    assert [s.method for s in scaled] == [s.method for s in seams]


def test_one_source_passes_through():
    signal = np.ones((1, 100), np.float32)
    (found,) = TalkerOrder(1, RATE).push(0, signal)
    assert found.sources is signal
    assert found.seams == []
