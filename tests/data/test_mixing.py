import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cplxsep.audio.level import active_rms, db, rms
from cplxsep.audio.p56 import p56_level
from cplxsep.data.mixing import add, layout, mix

RATE = 8000


def noise(samples, seed=0, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def ratio(sources, level, lengths=None):
    ends = lengths or [sources.shape[1]] * len(sources)
    measures = {"rms": rms, "active": lambda audio: active_rms(audio, RATE)}
    measure = measures.get(level, lambda audio: p56_level(audio, RATE))
    values = [float(measure(source[:end])) for source, end in zip(sources, ends, strict=True)]
    return [db(values[0] / value) for value in values]


@given(
    snr=st.lists(st.floats(-30, 30), min_size=1, max_size=4),
    levels=st.lists(st.floats(1e-4, 3.0), min_size=5, max_size=5),
    mode=st.sampled_from(["min", "max"]),
    level=st.sampled_from(["rms", "active", "p56"]),
)
def test_snr_is_as_asked_and_sources_sum_up(snr, levels, mode, level):
    signals = [noise(1000 + 100 * i, i, levels[i]) for i in range(len(snr) + 1)]
    mixed = mix(signals, snr_db=(0.0, *snr), sample_rate=RATE, mode=mode, level=level)
    lengths = None if mode == "min" else [len(item) for item in signals]
    # P.56 interpolates between fixed thresholds: after a gain it is another by a little.
    atol = 0.3 if level == "p56" else 1e-3
    np.testing.assert_allclose(ratio(mixed.sources, level, lengths), (0.0, *snr), atol=atol)
    np.testing.assert_array_equal(mixed.mixture, add(mixed.sources))
    assert mixed.mixture.dtype == mixed.sources.dtype == np.float32
    assert max(np.abs(mixed.mixture).max(), np.abs(mixed.sources).max()) <= 0.9
    for source, signal, own in zip(mixed.sources, signals, mixed.own, strict=True):
        gain = own * mixed.common
        size = min(len(source), len(signal))
        np.testing.assert_allclose(source[:size], gain * signal[:size], rtol=1e-5, atol=1e-7)


def test_source_1_keeps_its_level():
    first, second = noise(500, 0, 0.05), noise(500, 1, 0.7)
    mixed = mix([first, second], snr_db=(0.0, 3.0), sample_rate=RATE)
    np.testing.assert_array_equal(mixed.sources[0], first)
    assert (mixed.own[0], mixed.common) == (1.0, 1.0)


def test_one_common_gain_at_the_peak():
    loud = [noise(500, 0, 1.0), noise(500, 1, 1.0)]
    free = mix(loud, snr_db=(0.0, 2.0), sample_rate=RATE, peak=None)
    kept = mix(loud, snr_db=(0.0, 2.0), sample_rate=RATE, peak=0.5)
    highest = max(np.abs(free.mixture).max(), np.abs(free.sources).max())
    np.testing.assert_allclose(kept.sources, free.sources * (0.5 / highest), rtol=1e-5)


def test_min_cuts_and_max_pads():
    short, long = noise(300), noise(500, 1)
    assert mix([short, long], snr_db=(0, 0), sample_rate=RATE).sources.shape == (2, 300)
    padded = mix([short, long], snr_db=(0, 0), sample_rate=RATE, mode="max").sources
    assert padded.shape == (2, 500)
    assert not padded[0, 300:].any()


def test_offsets_cut_in_min_mode():
    short, long = noise(300), noise(500, 1)
    mixed = mix([short, long], snr_db=(0, 0), sample_rate=RATE, offsets=[0, 150])
    gain = mixed.own[1] * mixed.common
    np.testing.assert_allclose(mixed.sources[1], gain * long[150:450], rtol=1e-6)


def test_offsets_place_in_max_mode():
    short, long = noise(300), noise(500, 1)
    mixed = mix(
        [short, long], snr_db=(0, 0), sample_rate=RATE, mode="max", offsets=[600, 10], length=1000
    )
    assert mixed.mixture.shape == (1000,)
    np.testing.assert_array_equal(np.flatnonzero(mixed.sources[0])[[0, -1]], [600, 899])
    np.testing.assert_array_equal(np.flatnonzero(mixed.sources[1])[[0, -1]], [10, 509])


def test_padding_is_no_part_of_the_level():
    short, long = noise(300), noise(9000, 1)
    mixed = mix([short, long], snr_db=(0, 5), sample_rate=RATE, mode="max")
    assert ratio(mixed.sources, "rms", [300, 9000])[1] == pytest.approx(5.0, abs=1e-4)


@pytest.mark.parametrize("level", ["rms", "active", "p56"])
def test_silence_is_an_error(level):
    with pytest.raises(ValueError, match="source 2 is silent"):
        mix([noise(300), np.zeros(300)], snr_db=(0, 0), sample_rate=RATE, level=level)


@pytest.mark.parametrize("snr", [(0.0,), (1.0, 0.0), (0.0, 1.0, 2.0)])
def test_wrong_number_of_ratios(snr):
    with pytest.raises(ValueError, match="snr_db"):
        mix([noise(300), noise(300, 1)], snr_db=snr, sample_rate=RATE)


def test_a_source_that_does_not_fit():
    two = [noise(300), noise(300, 1)]
    with pytest.raises(ValueError, match="past the mixture"):
        mix(two, snr_db=(0, 0), sample_rate=RATE, mode="max", offsets=[0, 1], length=300)
    with pytest.raises(ValueError, match="past the end"):
        mix(two, snr_db=(0, 0), sample_rate=RATE, offsets=[0, 300])


@given(
    lengths=st.lists(st.integers(1, 500), min_size=2, max_size=5),
    overlap=st.floats(0, 1, allow_nan=False),
)
def test_neighbours_overlap_by_the_share_asked_for(lengths, overlap):
    starts = layout(lengths, overlap)
    ends = [start + length for start, length in zip(starts, lengths, strict=True)]
    assert starts[0] == 0
    for i in range(1, len(lengths)):
        shared = min(ends[i - 1], ends[i]) - max(starts[i - 1], starts[i])
        assert shared == pytest.approx(overlap * min(lengths[i - 1 : i + 1]), abs=0.5)
    if overlap < 1:
        assert ends == sorted(ends)
    else:
        assert starts == [0] * len(lengths)


def test_cut_pieces_at_their_starts():
    signals = [noise(300), noise(500, 1), noise(400, 2)]
    starts = layout([300] * 3, 0.25)
    mixed = mix(signals, snr_db=(0, 0, 0), sample_rate=RATE, offsets=[0, 150, 7], starts=starts)
    assert mixed.mixture.shape == (300 + 2 * 225,)
    for source, signal, offset, start, own in zip(
        mixed.sources, signals, [0, 150, 7], starts, mixed.own, strict=True
    ):
        piece = signal[offset : offset + 300] * np.float32(own)
        np.testing.assert_array_equal(source[start : start + 300], piece)
        assert np.count_nonzero(source) == 300


def test_own_and_common_gain_make_the_very_samples():
    loud = [noise(500, 0, 1.0), noise(500, 1, 1.0)]
    mixed = mix(loud, snr_db=(0.0, 2.0), sample_rate=RATE)
    assert mixed.common < 1
    for source, signal, own in zip(mixed.sources, loud, mixed.own, strict=True):
        again = signal * np.float32(own) * np.float32(mixed.common)
        np.testing.assert_array_equal(source, again)


def test_the_reference_goes_with_source_1():
    speech, other = noise(500, 0, 0.2), noise(500, 1, 0.3)
    mixed = mix([speech, other], snr_db=(0, 3), sample_rate=RATE, mode="max", reference=10 * speech)
    assert np.abs(mixed.reference).max() <= 0.9
    np.testing.assert_allclose(mixed.reference, 10 * mixed.sources[0], rtol=1e-5)
