"""One model, several sample rates: each recording is run at the highest that it reaches."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from standins import TWO_RATES, Stand, checkpoint, copies, without_offset

from cplxsep.engine.at_rate import AtRate
from cplxsep.engine.check import check
from cplxsep.engine.separator import Separator
from cplxsep.errors import ModelError
from cplxsep.networks.model import SeparationModel


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SeparationModel(TWO_RATES).eval()


@pytest.fixture
def separator(model) -> Separator:
    return Separator(model, device="cpu", precision="fp32")


@pytest.fixture
def made(monkeypatch) -> list[int]:
    """The rates that anything was made for."""
    rates = []
    begin = AtRate.__init__

    def remembering(self, model, rate, *rest):
        rates.append(rate)
        begin(self, model, rate, *rest)

    monkeypatch.setattr(AtRate, "__init__", remembering)
    return rates


class TwoRates(Stand):
    """A network that is the same at 8 and at 16 kHz; knows at which rates it was run."""

    rates = (16000, 8000)

    def __init__(self, function=copies, sources: int = 2) -> None:
        super().__init__(function, sources)
        self.run_at: list[int] = []

    def at(self, rate: int) -> Stand:
        def function(mixture):
            self.run_at.append(rate)
            return self.function(mixture)

        return Stand(function, self.sources)

    def forward(self, mixture):
        self.run_at.append(8000)
        return super().forward(mixture)


def above(signal: np.ndarray, rate: int, frequency: float) -> float:
    """Energy above a frequency in Hz."""
    spectrum = np.fft.rfft(signal)
    return float(
        np.square(
            np.abs(spectrum[..., np.fft.rfftfreq(signal.shape[-1], 1 / rate) > frequency])
        ).sum()
    )


@pytest.mark.parametrize(
    ("recorded", "run"),
    [(44100, 16000), (16000, 16000), (15999, 8000), (11025, 8000), (8000, 8000), (4000, 8000)],
)
def test_a_recording_is_run_at_the_highest_rate_that_it_reaches(talk, recorded, run):
    network = TwoRates()
    separator = Separator(network, device="cpu")
    assert separator.rates == (8000, 16000)
    assert separator.rate_for(recorded) == run
    signal = talk(1.0, recorded)
    assert separator(signal, recorded).shape == (2, signal.size)
    assert separator(signal, recorded, at_model_rate=True).shape == (2, run)
    assert set(network.run_at) == {run}


def test_a_model_that_knows_of_one_rate_only_has_that_one(make_separator):
    separator = make_separator()
    assert separator.rates == (separator.sample_rate,) == (8000,)
    assert separator.rate_for(4000) == separator.rate_for(48000) == 8000


@pytest.mark.parametrize("rate", [8000, 16000])
def test_a_short_signal_gives_what_the_model_gives_at_that_rate(model, separator, talk, rate):
    signal = talk(1.5, rate)
    with torch.inference_mode():
        heard = torch.from_numpy(without_offset(signal, rate))
        expected = model.at(rate)(heard[None])[0].numpy()
    found = separator(signal, rate)
    assert np.square(found - expected).sum() < 1e-8 * np.square(expected).sum()


def test_the_upper_band_survives_where_the_recording_has_it(separator, talk):
    signal = talk(2.0, 16000)
    share = above(signal, 16000, 4500) / above(signal, 16000, 0)
    sources = separator(signal, 16000)
    assert above(sources, 16000, 4500) > 0.5 * share * above(sources, 16000, 0)
    low = separator(talk(2.0, 11025), 11025)
    assert above(low, 11025, 4500) < 1e-3 * above(low, 11025, 0)


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("gain", [1e-3, 100.0])
def test_gain_passes_through_at_each_rate(model, talk, rate, gain):
    separator = Separator(model, device="cpu", precision="fp32", chunk=1.0)
    signal = talk(4.0, rate)
    expected = separator(signal, rate)
    found = separator((gain * signal).astype(np.float32), rate) / gain
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("rate", [4000, 8000, 11025, 44100])
def test_silence_gives_silence_at_each_rate(separator, rate):
    sources = separator(np.zeros(2 * rate, np.float32), rate)
    assert sources.shape == (2, 2 * rate)
    assert not sources.any()


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_the_band_above_is_that_above_the_rate_in_use(talk, rate):
    """A network that lets all through gives, with the band above it kept, what came in."""
    separator = Separator(TwoRates(lambda x: x[:, None], 1), device="cpu", chunk=1.0)
    signal = without_offset(talk(3.0, rate), rate)
    assert np.abs(separator(signal, rate, above="keep")[0] - signal).max() < 3e-3
    dropped = separator(signal, rate)[0]
    assert np.abs(dropped - signal).max() > 3e-2 or rate in separator.rates


def test_what_no_recording_needs_is_not_made(separator, made, talk):
    assert made == []
    separator(talk(0.5), 8000)
    separator(talk(0.5, 11025), 11025)
    assert made == [8000]
    separator(talk(0.5, 44100), 44100)
    separator(talk(0.5, 16000), 16000)
    assert made == [8000, 16000]


def test_threads_may_use_several_rates_at_once(model, made, talk):
    rates = [8000, 16000, 44100, 11025]
    signals = [(talk(1.5 + index / 4, rate), rate) for index, rate in enumerate(rates * 2)]
    alone = Separator(model, device="cpu", precision="fp32", chunk=1.0)
    expected = [alone(*given) for given in signals]
    made.clear()
    separator = Separator(model, device="cpu", precision="fp32", chunk=1.0)
    start = threading.Barrier(len(signals))

    def separate(given):
        start.wait(20)
        return separator(*given)

    with ThreadPoolExecutor(len(signals)) as pool:
        found = list(pool.map(separate, signals))
    assert sorted(made) == [8000, 16000]
    for one, other in zip(found, expected, strict=True):
        assert np.abs(one - other).max() < 1e-5


def test_chunks_last_equally_long_at_each_rate(separator):
    low, high = separator.at(8000), separator.at(16000)
    assert (low.plan.length, high.plan.length) == (64000, 128000)
    assert low.seconds(3) == high.seconds(3) == 18.0


def test_verify_tries_each_rate(tmp_path, monkeypatch):
    folder = checkpoint(tmp_path / "two", TWO_RATES)
    assert check(folder) is None
    forward = SeparationModel.forward

    def silent_at_16000(self, mixture):
        return forward(self, mixture) * (self.sample_rate == 8000)

    monkeypatch.setattr(SeparationModel, "forward", silent_at_16000)
    with pytest.raises(ModelError, match="two: its output is silent at 16000 Hz"):
        check(folder)
