"""The engine on a GPU: what its host does meanwhile, tried without one; and the whole, with one."""

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from standins import RATE, TWO_RATES, copies, halves

from cplxsep.config import ModelConfig
from cplxsep.engine.enhance import Enhancement, enhanced
from cplxsep.engine.fused import graphs
from cplxsep.engine.fused.form import Form
from cplxsep.engine.fused.graphs import GraphedNetwork
from cplxsep.engine.separator import Separator
from cplxsep.errors import InputError
from cplxsep.networks.model import SeparationModel

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture
def ahead(make_separator):
    """A Separator on the CPU whose host works as beside a GPU."""

    def make(function=halves, **options) -> Separator:
        separator = make_separator(function, **options)
        runs = separator.at(RATE)
        runs._pool = ThreadPoolExecutor(8)
        runs._together._turns = threading.Semaphore(2)
        return separator

    return make


@pytest.mark.parametrize("batch", [1, 3, 32])
def test_groups_under_way_together_give_what_groups_in_turn_give(
    ahead, make_separator, talk, batch
):
    signal = talk(40)
    options = {"chunk": 2.0, "batch": batch}
    expected = make_separator(**options)(signal, RATE)
    # Several threads round the sums of an FFT otherwise in another batch.
    np.testing.assert_allclose(ahead(**options)(signal, RATE), expected, atol=1e-6)
    blocks = np.array_split(signal, 23)
    parts = list(ahead(**options).stream(blocks, RATE))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), expected, atol=1e-6)


def test_many_signals_at_once_give_what_each_gives(ahead, make_separator, talk):
    signals = [talk(3 + seed % 5, seed=seed) for seed in range(24)]
    alone, shared = make_separator(chunk=2.0, batch=4), ahead(chunk=2.0, batch=4)
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(lambda signal: shared(signal, RATE), signals))
    for signal, sources in zip(signals, found, strict=True):
        np.testing.assert_allclose(sources, alone(signal, RATE), atol=1e-6)


def test_what_is_there_is_given_before_more_comes(ahead, talk):
    """A signal that comes live: the next block comes only once the first chunk's sources have.

    Of which the order is settled with the fifth.
    """
    heard = threading.Event()

    def live():
        yield talk(8.0)
        assert heard.wait(20)
        yield talk(2.0, seed=1)

    given = ahead(chunk=2.0).stream(live(), RATE)
    first = next(given)
    assert first.shape[1]
    heard.set()
    assert first.shape[1] + sum(part.shape[1] for part in given) == 10 * RATE


def test_an_error_comes_where_its_chunk_would_have(ahead, talk):
    def broken(mixture):
        return copies(mixture) * (torch.nan if mixture.abs().max() > 5 else 1)

    signal = talk(20)
    signal[12 * RATE] = 100.0
    given = ahead(broken, chunk=2.0, batch=1).stream([signal], RATE)
    assert next(given).shape[1]
    with pytest.raises(InputError, match="not finite"):
        list(given)


def test_nothing_is_read_after_the_end_of_the_callers_loop(ahead, talk):
    taken = []

    def endless():
        while True:
            taken.append(None)
            yield talk(2.0)

    before = {*threading.enumerate()}
    given = ahead(chunk=2.0).stream(endless(), RATE)
    next(given)
    given.close()
    for thread in {*threading.enumerate()} - before:
        if thread.name.startswith("Thread") and thread.daemon:
            thread.join(20)
    assert len(taken) < 20
    assert len({*threading.enumerate()} - before) <= 8  # the pool's


def test_channels_that_are_read_in_threads_get_each_its_own(ahead, make_separator):
    signal = np.random.default_rng(0).standard_normal((4, 24 * RATE)).astype(np.float32)
    blocks = np.array_split(signal, 12, axis=1)

    def found(separator):
        parts = enhanced(separator, iter(blocks), 4, RATE, Enhancement())
        return np.concatenate(list(parts), axis=2)

    options = {"sources": 1, "chunk": 2.0, "batch": 4}
    expected = found(make_separator(alone, **options))
    assert expected.shape == (1, *signal.shape)
    for _ in range(3):
        assert np.array_equal(found(ahead(alone, **options)), expected)


def alone(mixture):
    return mixture[:, None] * 0.5


class Joined(torch.nn.Module):
    """A network that remembers how many it was given."""

    def __init__(self):
        super().__init__()
        self.ran = []

    def forward(self, mixture):
        self.ran.append(len(mixture))
        return joined(mixture)


def joined(mixture):
    return torch.cat([mixture, mixture.flip(3)], dim=1)


@pytest.fixture
def graphed(monkeypatch):
    """A network of what stands for graphs, and the shapes that were captured."""
    captured = []

    def capture(self, mixture):
        captured.append(tuple(mixture.shape))
        given = mixture.clone()
        found = self.network(given)
        replay = SimpleNamespace(replay=lambda: found.copy_(self.network(given)))
        return replay, given, found

    monkeypatch.setattr(GraphedNetwork, "_captured", capture)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    return GraphedNetwork(Joined()), captured


def test_batches_share_graphs_of_few_sizes(graphed):
    run, captured = graphed
    for count in (3, 4, 3, 1, 4, 3, 8, 5, 7, 6, 17, 24, 20, 25, 31, 32):
        mixture = torch.randn(count, 2, 5, 6)
        assert torch.equal(run(mixture), joined(mixture))
    assert captured == [(rows, 2, 5, 6) for rows in (4, 8, 24, 32)]
    assert set(run.network.ran) == {1, 4, 8, 24, 32}


def test_graphs_are_few_and_of_what_comes_often(graphed):
    run, captured = graphed
    for _ in range(10):
        run(torch.randn(2, 2, 5, 100))
    for length in range(40):
        for _ in range(3):
            mixture = torch.randn(1, 2, 5, 1 + length)
            assert torch.equal(run(mixture), joined(mixture))
    assert len(run._graphs) == graphs.MOST
    assert len(captured) == graphs.MOST
    for _ in range(6):
        run(torch.randn(1, 2, 5, 40))
    assert (1, 2, 5, 40) in run._graphs
    assert (2, 2, 5, 100) in run._graphs
    assert len(run._graphs) == graphs.MOST


def test_without_graphs_all_goes_on_and_is_told_once(graphed, monkeypatch):
    run, _ = graphed
    said = []

    def fails(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(GraphedNetwork, "_captured", fails)
    monkeypatch.setattr(graphs, "tell", said.append)
    for count in (2, 2, 2, 2, 4, 4, 4, 4):
        mixture = torch.randn(count, 2, 5, 6)
        assert torch.equal(run(mixture), joined(mixture))
    (line,) = said
    assert line.endswith("slower: operation not permitted when stream is capturing")


def model(**changes):
    torch.manual_seed(0)
    return SeparationModel(TWO_RATES.model_copy(update=changes)).eval()


def snr(expected, found):
    """In dB."""
    return 10 * np.log10((expected**2).sum() / max(((found - expected) ** 2).sum(), 1e-30))


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(("precision", "least"), [("fp32", 60), ("bf16", 25), ("fp16", 30)])
def test_whole_signals_on_a_gpu_are_those_of_the_cpu(talk, rate, precision, least):
    signal = talk(60, rate)
    options = {"chunk": 2.0, "batch": 5}
    expected = Separator(model(), device="cpu", precision="fp32", chunk=2.0)(signal, rate)
    separator = Separator(model(), device="cuda", precision=precision, **options)
    for _ in range(3):  # graphs come in
        assert snr(expected, separator(signal, rate)) > least


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("unet", [{"residual_blocks": 1}, {"norm": "layer"}], ids=str)
@pytest.mark.parametrize("transformations", [0, 2])
@pytest.mark.parametrize(("dtype", "least"), [(None, 60), (torch.bfloat16, 8)])
def test_a_u_net_on_a_gpu_is_the_network_every_time(unet, transformations, dtype, least):
    torch.manual_seed(0)
    shape = {"start_maps": 8, "levels": 2, "transformations": transformations, **unet}
    network, mixture = SeparationModel(ModelConfig(**shape)).eval(), torch.randn(3, 9001)
    with torch.inference_mode():
        expected = network(mixture).numpy()
    form = Form(network.cuda(), torch.device("cuda"), dtype)
    found = [form(mixture.numpy()) for _ in range(4)]
    assert all(snr(expected, one) > least for one in found)
    assert np.array_equal(found[2], found[3])


@pytest.mark.gpu
@needs_gpu
def test_on_a_gpu_a_batch_changes_little_and_a_repeat_nothing(talk):
    signal, found = talk(40), []
    for batch in (1, 4, 7):
        separator = Separator(model(), device="cuda", precision="fp32", chunk=2.0, batch=batch)
        runs = [separator(signal, RATE) for _ in range(4)]
        assert np.array_equal(runs[-1], runs[-2])
        found.append(runs[-1])
    assert snr(found[0], found[1]) > 80
    assert snr(found[0], found[2]) > 80


@pytest.mark.gpu
@needs_gpu
def test_many_threads_on_a_gpu_give_what_one_gives(talk):
    separator = Separator(model(), device="cuda", precision="fp32", chunk=2.0, batch=8)
    signals = [talk(2 + seed % 7, seed=seed) for seed in range(48)]
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda signal: separator(signal, RATE), signals))
    for signal, sources in zip(signals, found, strict=True):
        assert snr(separator(signal, RATE), sources) > 80


@pytest.mark.gpu
@needs_gpu
def test_out_of_memory_on_a_gpu_halves_the_batch_and_goes_on(talk):
    signal, options = talk(600), {"device": "cuda", "precision": "fp32"}
    expected = Separator(model(), batch=2, **options)(signal, RATE)
    separator = Separator(model(), batch=256, **options)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    # A chunk takes some 9 MB, and 64 are run at once.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**28) / total)
    try:
        found = separator(signal, RATE)
        assert separator.at(RATE).batch < 256
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert snr(expected, found) > 80


@pytest.mark.gpu
@needs_gpu
def test_memory_of_a_gpu_does_not_grow_with_a_recording(talk):
    separator = Separator(model(), device="cuda", precision="bf16", batch=4)
    peaks = []
    for seconds in (200, 200, 800):
        torch.cuda.reset_peak_memory_stats()
        separator(talk(seconds), RATE)
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[2] <= 1.1 * peaks[1]


@pytest.mark.gpu
@needs_gpu
def test_what_overflows_in_half_precision_is_computed_again(talk):
    """On a GPU it is found out there."""
    signal = talk(10)

    class Loud(torch.nn.Module):
        sample_rate, sources = RATE, 2

        def forward(self, mixture):
            return copies(mixture @ torch.eye(mixture.shape[1], device=mixture.device) * 1e3)

    found = Separator(Loud(), device="cuda", precision="fp16", chunk=0.5)(1e3 * signal, RATE)
    assert np.isfinite(found).all()
    assert np.abs(found).max() > 65504
