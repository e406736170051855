import pickle
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from standins import RATE, TWO_RATES, Stand, checkpoint, copies, halves, swapping, without_offset

import cplxsep
from cplxsep.config import ModelConfig
from cplxsep.engine.blocks import resampled
from cplxsep.engine.separator import Separator
from cplxsep.errors import InputError, UsageError


def blocks_of(signal: np.ndarray, size: int) -> list[np.ndarray]:
    return [signal[start : start + size] for start in range(0, len(signal), size)]


@pytest.mark.parametrize("seconds", [0.000125, 0.01, 3.0, 8.0, 8.1, 31.7])
def test_identity_network_gives_the_input_back_less_what_is_below_speech(
    make_separator, talk, seconds
):
    signal = without_offset(talk(seconds), RATE)
    sources = make_separator(copies)(talk(seconds), RATE)
    assert sources.dtype == np.float32
    assert np.abs(sources - signal).max() < 1e-4


def test_one_chunk_gives_what_the_network_gives(make_separator, talk):
    signal = talk(7.9)
    heard = without_offset(signal, RATE)
    expected = halves(torch.from_numpy(heard)[None])[0].numpy()
    assert np.array_equal(make_separator()(signal, RATE), expected)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000, 7999, 192000])
@pytest.mark.parametrize("samples", [1, 2, 777, 100_001])
def test_output_has_the_length_of_the_input(make_separator, rate, samples):
    signal = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    sources = make_separator(chunk=0.5)(signal, rate)
    assert sources.shape == (2, samples)
    assert np.isfinite(sources).all()


def test_any_rate_resamples_there_and_back(make_separator):
    time = np.arange(44100 * 3) / 44100
    signal = np.sin(2 * np.pi * 440 * time).astype(np.float32)
    sources = make_separator(copies, chunk=1.0)(signal, 44100)
    assert np.abs(sources - signal)[:, 4410:-4410].max() < 1e-3


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("size", [160, 4097, 10**6])
def test_stream_agrees_with_the_call(make_separator, talk, rate, size):
    signal = talk(11.3, rate)
    separator = make_separator(swapping(halves), chunk=2.0)
    whole = separator(signal, rate)
    parts = list(make_separator(swapping(halves), chunk=2.0).stream(blocks_of(signal, size), rate))
    assert np.abs(np.concatenate(parts, axis=1) - whole).max() < 1e-4


def test_stream_emits_while_it_reads(make_separator):
    taken = 0

    def blocks():
        nonlocal taken
        for _ in range(600):
            taken += 800
            yield np.ones(800, np.float32)

    given = 0
    for part in make_separator(chunk=2.0).stream(blocks(), RATE):
        given += part.shape[1]
        assert taken - given <= 5 * 2.0 * RATE  # with the fifth chunk the first one is settled
    assert given == taken


@pytest.mark.parametrize("batch", [1, 3, "auto"])
def test_batches_change_nothing(make_separator, talk, batch):
    signal = talk(20)
    expected = make_separator(chunk=2.0, batch=8)(signal, RATE)
    assert np.allclose(make_separator(chunk=2.0, batch=batch)(signal, RATE), expected, atol=1e-6)


def test_swapped_outputs_are_put_in_order(make_separator, talk):
    low = halves(torch.from_numpy(talk(30))[None])[0, 0].numpy()
    high = halves(torch.from_numpy(talk(30, seed=1))[None])[0, 1].numpy()
    seams = []
    sources = make_separator(swapping(halves))(low + high, RATE, seams=seams)
    assert np.abs(sources[0] - low).max() < 0.02
    assert sum(seam.swapped for seam in seams) == len(seams) // 2 + len(seams) % 2
    assert seams[0].seconds == 6.0


@pytest.mark.parametrize("gain", [1e-3, 0.1, 37.0, 100.0])
def test_gain_passes_through_many_chunks(make_separator, talk, gain):
    signal = talk(30, 16000)
    separator = make_separator(halves)
    reference = separator(signal, 16000)
    scaled = separator((gain * signal).astype(np.float32), 16000)
    assert np.abs(scaled / gain - reference).max() < 1e-5 * np.abs(reference).max()


@pytest.mark.parametrize("at_model_rate", [False, True])
@pytest.mark.parametrize("rate", [8000, 22050])
def test_sources_sum_to_the_mixture_if_asked(make_separator, talk, rate, at_model_rate):
    signal = talk(9, rate)
    separator = make_separator(lambda x: torch.stack([0.3 * x, 0.2 * x.flip(-1)], 1), chunk=2.0)
    options = {"sum_to_mix": True, "at_model_rate": at_model_rate}
    total = separator(signal, rate, **options).sum(axis=0)
    expected = signal
    if at_model_rate:
        expected = np.concatenate(list(resampled([signal], rate, RATE)))
    assert total.shape == expected.shape
    assert np.abs(total - expected).max() < 1e-4


def test_a_long_mixture_is_not_copied_for_each_chunk(make_separator, talk):
    signal = talk(120.0)
    parts = make_separator(copies, chunk=0.5).stream([signal], RATE, sum_to_mix=True)
    for _ in range(3):
        next(parts)
    tracemalloc.start()
    try:
        rest = sum(part.shape[1] for part in parts)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rest > 0.9 * signal.size
    assert peak < signal.nbytes / 2


def test_silence_gives_silence_and_never_reaches_the_network(make_separator):
    separator = make_separator(lambda x: copies(x) + torch.nan)
    sources = separator(np.zeros(RATE * 20, np.float32), RATE)
    assert sources.shape == (2, RATE * 20)
    assert not sources.any()


def test_nan_never_leaves(make_separator, talk):
    signal = talk(1)
    with pytest.raises(InputError, match="not finite"):
        make_separator(lambda x: copies(x) + torch.nan)(signal, RATE)
    signal[5] = np.nan
    with pytest.raises(InputError, match="NaN"):
        make_separator()(signal, RATE)


def test_tensors_give_tensors_and_a_channel_axis_is_allowed(make_separator, talk):
    signal = talk(1)
    separator = make_separator()
    expected = separator(signal, RATE)
    for given in (torch.from_numpy(signal), torch.from_numpy(signal)[None].double()):
        sources = separator(given, RATE)
        assert isinstance(sources, torch.Tensor)
        assert sources.dtype == torch.float32
        assert np.array_equal(sources.numpy(), expected)
    assert np.array_equal(separator(signal[None], RATE), expected)


def test_nothing_in_nothing_out(make_separator):
    assert make_separator()(np.zeros(0, np.float32), RATE).shape == (2, 0)
    assert list(make_separator().stream([], 44100)) == []


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (
            np.ones((2, 100), np.float32),
            r"one channel .* \(2, 100\): pass x\[0\], or .* x.mean\(0\)",
        ),
        (np.ones((100, 2)), r"one channel .* \(100, 2\): pass x\[:, 0\], or .* x.mean\(1\)"),
        (np.ones((2, 3, 100)), r"one channel of samples, found shape \(2, 3, 100\)$"),
        (np.ones(100, np.int8), "int8, not floats: pass x / 128$"),
        (np.ones(100, np.int16), "int16, not floats: pass x / 32768$"),
        (np.ones(100, np.int32), "int32, not floats: pass x / 2147483648$"),
        (np.ones(100, np.uint8), r"uint8, not floats: pass \(x - 128.0\) / 128$"),
        (np.ones(100, bool), "bool, not floats$"),
        (np.ones(100, complex), "complex128, not floats$"),
        (np.full(100, "x"), "not floats$"),
    ],
)
def test_arrays_that_are_no_waveform_are_refused_with_what_to_do(make_separator, samples, message):
    with pytest.raises(InputError, match=message):
        make_separator()(samples, RATE)
    with pytest.raises(InputError, match=message):
        list(make_separator().stream([samples], RATE))
    if samples.dtype.kind != "U":
        with pytest.raises(InputError, match=message):
            make_separator()(torch.from_numpy(samples), RATE)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_floats_of_any_size(make_separator, talk, dtype):
    signal = talk(1).astype(dtype)
    expected = make_separator()(signal.astype(np.float32), RATE)
    assert np.array_equal(make_separator()(signal, RATE), expected)
    assert np.array_equal(make_separator()(torch.from_numpy(signal), RATE).numpy(), expected)


def test_a_sample_rate_that_no_recording_has(make_separator, talk):
    with pytest.raises(UsageError, match="at most 1000000 Hz"):
        make_separator()(talk(1), 10**9)


def test_a_word_for_the_band_above_that_is_none(make_separator, talk):
    with pytest.raises(UsageError, match="above 'folow': use follow, keep, drop"):
        make_separator()(talk(1), RATE, above="folow")


def test_a_device_of_torch(make_separator):
    assert make_separator(device=torch.device("cpu")).device == "cpu"


@pytest.mark.parametrize("rate", ["48000", None, True, 0, -8000, 44100.5, 8000j, float("nan")])
def test_sample_rates_that_are_none(make_separator, talk, rate):
    separator = make_separator()
    for use in (lambda: separator(talk(1), rate), lambda: separator.rate_for(rate)):
        with pytest.raises(UsageError, match="give a positive whole number of Hz"):
            use()


@pytest.mark.parametrize("rate", [16000.0, np.int64(16000), np.float32(16000)])
def test_sample_rates_of_other_types(make_separator, talk, rate):
    signal = talk(1, 16000)
    separator = make_separator()
    assert np.array_equal(separator(signal, rate), separator(signal, 16000))


@pytest.mark.parametrize("network", [ModelConfig(start_maps=4, levels=1), TWO_RATES])
def test_a_separator_goes_to_another_process(tmp_path, talk, network):
    separator = Separator.load(checkpoint(tmp_path / "model", network), device="cpu", chunk=2.0)
    signal = talk(5)
    expected = separator(signal, RATE)
    copy = pickle.loads(pickle.dumps(separator))
    assert np.array_equal(copy(signal, RATE), expected)
    assert np.array_equal(separator(signal, RATE), expected)


def test_a_separator_says_what_it_is(make_separator):
    said = repr(make_separator(precision="fp32"))
    assert said == "<Separator: 2 sources at 8000 Hz, cpu, fp32>"


def test_the_package_lists_what_it_offers():
    assert [name for name in dir(cplxsep) if not name.startswith("__")] == ["Separator"]


@pytest.mark.parametrize("sources", [1, 3])
def test_any_number_of_sources(make_separator, talk, sources):
    signal = talk(20)
    separator = make_separator(lambda x: torch.stack([x] * sources, 1), sources)
    assert np.abs(separator(signal, RATE) - without_offset(signal, RATE)).max() < 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"batch": 0},
        {"batch": "many"},
        {"batch": 2.7},
        {"batch": True},
        {"batch": None},
        {"chunk": -1},
        {"overlap": 0.7},
        {"device": "tpu"},
        {"precision": "fp16"},
        {"precision": "half"},
    ],
)
def test_wrong_options_are_usage_errors(make_separator, options):
    with pytest.raises(UsageError):
        make_separator(**options)


def test_network_runs_in_evaluation_mode_on_whole_chunks(talk):
    network = Stand(halves)
    network.train()
    Separator(network, device="cpu", chunk=2.0, batch=4)(talk(11), RATE)
    assert not network.training
    assert network.shapes == [(4, 16000), (3, 16000)]


def test_concurrent_calls_give_what_calls_in_turn_give(talk):
    signals = [talk(3 + index, seed=index) for index in range(8)]
    separator = Separator(Stand(halves), device="cpu", chunk=2.0, batch=4)
    expected = [separator(signal, 16000) for signal in signals]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            found = pool.map(lambda signal: separator(signal, 16000), signals)
            for one, other in zip(found, expected, strict=True):
                assert np.abs(one - other).max() < 1e-6


def test_blocks_may_share_their_memory(make_separator, talk):
    signal = talk(20)

    def refilled():
        buffer = np.empty(8000, np.float32)
        for start in range(0, len(signal), buffer.size):
            buffer[:] = signal[start : start + buffer.size]
            yield buffer

    separator = make_separator(lambda mixture: 0.25 * copies(mixture))
    parts = separator.stream(refilled(), RATE, rest=True)
    assert np.allclose(np.concatenate(list(parts), axis=1).sum(axis=0), signal, atol=1e-6)
