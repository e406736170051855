import numpy as np
import pytest

from cplxsep.engine.chunks import ChunkPlan, Cutter
from cplxsep.engine.talker_order import TalkerOrder

RATE = 8000
PLAN = ChunkPlan.of(4.0, 0.25, RATE)


def voice(seconds, colour, seed, rng_rate=4.0):
    """Syllables of noise with a spectrum of its own: 0 dull, 1 bright."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(round(seconds * RATE))
    spectrum = np.fft.rfft(noise)
    tilt = (
        np.linspace(1, 0.02, spectrum.size) if colour == 0 else np.linspace(0.02, 1, spectrum.size)
    )
    noise = np.fft.irfft(spectrum * tilt, n=noise.size)
    steps = rng.uniform(-0.3, 1, int(seconds * rng_rate) + 2).clip(0)
    envelope = np.interp(np.arange(noise.size) * rng_rate / RATE, np.arange(steps.size), steps)
    signal = noise * envelope
    return (0.1 * signal / np.sqrt((signal**2).mean())).astype(np.float32)


def follow(sources, *, leak=0.1, gain=1.0, seed=0, plan=PLAN):
    """Order of talkers in each arranged chunk when chunks come leaky and shuffled; the seams."""
    rng = np.random.default_rng(seed)
    order, cutter = TalkerOrder(RATE), Cutter(plan)
    found, seams = [], []
    mixing = np.full((len(sources), len(sources)), leak) + (1 - leak) * np.eye(len(sources))
    chunks = [*cutter.push(np.arange(sources.shape[1])), *cutter.finish()]
    for chunk in chunks:
        piece = (gain * mixing @ sources[:, chunk.samples]).astype(np.float32)
        permutation = rng.permutation(len(sources))
        arranged = order.arrange(chunk.start, piece[permutation])
        found.append([int(np.abs(piece - row).sum(axis=1).argmin()) for row in arranged])
        seams += order.latest
    return found, seams


@pytest.mark.parametrize("count", [2, 3, 5])
def test_shuffled_chunks_come_out_in_one_order(count):
    sources = np.stack([voice(30, i % 2, i) for i in range(count)])
    found, seams = follow(sources)
    assert all(order == found[0] for order in found)
    assert any(seam.swapped for seam in seams)
    assert all(0 <= seam.confidence <= 1 for seam in seams)


def test_one_talker_in_the_overlap_is_enough_despite_leakage():
    sources = np.stack([voice(30, 0, 1), voice(30, 0, 2)])
    sources[1, :: PLAN.hop] = 0
    for start in range(0, sources.shape[1], PLAN.hop):
        sources[1, start : start + PLAN.overlap] = 0
    found, seams = follow(sources, leak=0.2)
    assert all(order == found[0] for order in found)
    assert all(seam.method == "overlap" for seam in seams)


def test_silent_overlaps_are_decided_by_voices():
    sources = np.stack([voice(40, 0, 1), voice(40, 1, 2)])
    noise = 1e-4 * np.random.default_rng(3).standard_normal(sources.shape).astype(np.float32)
    for start in range(0, sources.shape[1], PLAN.hop):
        sources[:, start : start + PLAN.overlap] = noise[:, start : start + PLAN.overlap]
    found, seams = follow(sources)
    assert {seam.method for seam in seams[:-1]} == {"voice"}
    assert all(order == found[0] for order in found)


def test_order_stays_when_nothing_tells():
    order = TalkerOrder(RATE)
    silent = np.zeros((2, PLAN.length), np.float32)
    for index in range(3):
        assert np.array_equal(order.arrange(index * PLAN.hop, silent), silent)
    (seam,) = order.latest
    assert (seam.method, seam.confidence, seam.swapped) == ("silence", 1, False)
    # The first words of all: any order is right, and it is known that nothing told it.
    word = silent.copy()
    word[:, RATE * 2 : RATE * 3] = voice(1, 0, 1)
    assert np.array_equal(order.arrange(3 * PLAN.hop, word), word)
    (seam,) = order.latest
    assert seam.method == "kept"
    assert seam.weak


def test_one_talker_split_over_both_outputs_is_not_taken_for_two():
    talker, other = voice(60, 0, 1), voice(60, 1, 2)
    order, sources = TalkerOrder(RATE), np.stack([0.8 * talker, 0.2 * talker])
    order.arrange(0, sources[:, : PLAN.length])
    both = np.stack([talker, other])
    found = [
        order.arrange(start, both[:: -1 if index % 2 else 1, start : start + PLAN.length])
        for index, start in enumerate(range(PLAN.hop, 40 * RATE, PLAN.hop))
    ]
    starts = range(PLAN.hop, 40 * RATE, PLAN.hop)
    for start, arranged in zip(starts, found, strict=True):
        assert np.array_equal(arranged[0], both[0, start : start + PLAN.length])


def test_voices_are_of_talkers_and_not_of_what_leaks_or_of_halves():
    talker = voice(8, 0, 1)
    blip, halves = np.stack([talker, 0 * talker]), np.stack([talker, 0 * talker])
    blip[:, -2560:] = blip[::-1, -2560:]  # 10 frames
    halves[:, 5 * RATE :] = halves[::-1, 5 * RATE :]
    for given in (blip, halves):
        order = TalkerOrder(RATE)
        order.arrange(0, given)
        assert order._voices[0] is not None
        assert order._voices[1] is None


def test_a_clear_overlap_with_a_chunk_in_doubt_is_in_doubt():
    order = TalkerOrder(RATE)
    chunks = np.zeros((3, 2, PLAN.length), np.float32)
    chunks[0, 0, : RATE * 2] = voice(2, 0, 1)
    word = voice(1, 0, 1)[: 4 * 256]  # fewer frames than a voice needs
    begin = PLAN.hop // 256 * 256 + 1024
    chunks[1, 0, begin : begin + len(word)] = word
    chunks[2, 1, begin - PLAN.hop : begin - PLAN.hop + len(word)] = word
    confidences = []
    for index, chunk in enumerate(chunks):
        arranged = order.arrange(index * PLAN.hop, chunk)
        confidences += [seam.confidence for seam in order.latest]
    assert np.array_equal(arranged, chunks[2, ::-1])
    assert confidences[0] == 0
    assert 0 < confidences[1] <= 0.1


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
    order, cutter = TalkerOrder(RATE), Cutter(plan)
    errors, seams = [], []
    for index, chunk in enumerate([*cutter.push(np.arange(sources.shape[1])), *cutter.finish()]):
        truth = sources[:, chunk.samples]
        given = truth.copy()
        if index in swaps:
            # In the middle of the first pause of the chunk that has a second of speech before it.
            pauses = (np.arange(2, 5) * 4 - 0.5) * RATE + chunk.start // (4 * RATE) * 4 * RATE
            behind = int(pauses[pauses > chunk.start + 2 * RATE][0]) - chunk.start
            given[:, behind:] = given[::-1, behind:]
        found = order.arrange(chunk.start, given)
        errors.append(float(np.square(found - truth).sum() / np.square(truth).sum()))
        seams += order.latest
    return errors, seams


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


def test_before_both_voices_are_known_nothing_is_put_back_and_all_is_learnt():
    given = np.zeros((2, 8 * RATE), np.float32)
    given[0, : 3 * RATE], given[0, 4 * RATE : 7 * RATE] = voice(3, 0, 1), voice(3, 1, 2)
    half = given.copy()
    half[:, 4 * RATE :] = 0
    frames = []
    for signal in (half, given):
        order = TalkerOrder(RATE)
        assert np.array_equal(order.arrange(0, signal), signal)
        assert order.latest == []
        assert order._voices[1] is None
        frames.append(order._voices[0].frames)
    # However new it sounds: a voice that takes up only what is like it would narrow.
    assert frames[1] > 1.5 * frames[0]


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
    order = TalkerOrder(RATE)
    signal = np.ones((1, 100), np.float32)
    assert order.arrange(0, signal) is signal
    assert order.latest == []
