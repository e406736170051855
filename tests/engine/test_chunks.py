import numpy as np
import pytest

from cplxsep.engine.chunks import ChunkPlan, Cutter, Joiner
from cplxsep.errors import UsageError


def cut(signal: np.ndarray, plan: ChunkPlan, block: int) -> list:
    cutter = Cutter(plan)
    chunks = []
    for start in range(0, len(signal), block):
        chunks += list(cutter.push(signal[start : start + block]))
    return chunks + list(cutter.finish())


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("length", [1, 99, 100, 101, 150, 175, 176, 1000, 1003])
@pytest.mark.parametrize("block", [1, 33, 5000])
def test_chunks_of_a_signal_join_to_the_signal_bit_for_bit(length, block, overlap):
    signal = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    plan = ChunkPlan.of(1.0, overlap, 100)
    joiner = Joiner(plan)
    parts = [
        joiner.add(c.start, np.stack([c.samples, -c.samples])) for c in cut(signal, plan, block)
    ]
    joined = np.concatenate([*parts, joiner.finish()], axis=1)
    assert np.array_equal(joined, np.stack([signal, -signal]))


@pytest.mark.parametrize("length", [100, 101, 174, 175, 1003])
def test_every_chunk_is_full_and_the_last_one_ends_with_the_signal(length):
    signal = np.arange(length, dtype=np.float32)
    chunks = cut(signal, ChunkPlan.of(1.0, 0.25, 100), 7)
    assert {len(chunk.samples) for chunk in chunks} == {100}
    assert all(chunk.samples[0] == chunk.start for chunk in chunks)
    assert chunks[-1].start == length - 100
    assert [chunk.start for chunk in chunks[:-1]] == [75 * i for i in range(len(chunks) - 1)]


def test_a_signal_shorter_than_a_chunk_is_not_padded():
    (chunk,) = cut(np.ones(42, np.float32), ChunkPlan.of(1.0, 0.25, 100), 10)
    assert len(chunk.samples) == 42


def test_cross_fade_has_constant_gain_and_no_jump():
    plan = ChunkPlan.of(1.0, 0.25, 1000)
    joiner = Joiner(plan)
    first = joiner.add(0, np.zeros((1, 1000), np.float32))
    joined = np.concatenate([first, joiner.add(750, np.ones((1, 1000), np.float32))], axis=1)[0]
    assert (np.diff(joined) >= 0).all()
    assert np.diff(joined).max() < 0.01
    assert np.allclose(joined[750:1000] + joined[750:1000][::-1], 1, atol=1e-6)


def test_buffers_stay_small():
    plan = ChunkPlan.of(1.0, 0.25, 100)
    cutter = Cutter(plan)
    for _ in range(300):
        list(cutter.push(np.zeros(11, np.float32)))
        assert cutter._held.size <= 2 * plan.length


@pytest.mark.parametrize(
    ("seconds", "overlap"), [(8, 0.6), (8, -0.1), (0, 0.25), (float("nan"), 0)]
)
def test_impossible_plans_are_refused(seconds, overlap):
    with pytest.raises(UsageError):
        ChunkPlan.of(seconds, overlap, 8000)
