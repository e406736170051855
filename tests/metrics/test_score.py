"""The scores of one example: improvements, one permutation, reasons for missing values."""

import numpy as np
import pytest
from scored import bss_eval

from cplxsep.errors import UsageError
from cplxsep.metrics import perceptual, score
from cplxsep.metrics.score import score_example
from cplxsep.metrics.sisdr import si_sdr

BSS_AND_SI = ("sdr", "sir", "sar", "si-sdr")


def example(count: int = 2, length: int = 3000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mixture, references, estimates."""
    rng = np.random.default_rng(0)
    references = rng.standard_normal((count, length)) * np.arange(1, count + 1)[:, None]
    mixture = references.sum(axis=0)
    estimates = references + 0.2 * mixture + 0.1 * rng.standard_normal((count, length))
    return mixture, references, estimates


def test_values_are_those_of_the_metrics():
    mixture, references, estimates = example()
    order = [1, 0]
    scores = score_example(mixture, references, estimates[order], BSS_AND_SI)
    bss = bss_eval(references, estimates)
    base = bss_eval(references, np.stack([mixture, mixture]))
    for j, source in enumerate(scores):
        assert (source.reference, source.estimate) == (j, order[j])
        assert source.values["sdr"] == pytest.approx(bss.sdr[j])
        assert source.values["sir"] == pytest.approx(bss.sir[j])
        assert source.values["sar"] == pytest.approx(bss.sar[j])
        assert source.values["si_sdr"] == pytest.approx(si_sdr(references[j], estimates[j]))
        assert source.values["sdr_i"] == pytest.approx(bss.sdr[j] - base.sdr[j])
        gain = si_sdr(references[j], estimates[j]) - si_sdr(references[j], mixture)
        assert source.values["si_sdr_i"] == pytest.approx(gain)
        assert set(source.values) == set(score.keys(BSS_AND_SI, True))
        assert source.null == {}


def test_the_mixture_as_estimate_improves_nothing():
    mixture, references, _ = example()
    for source in score_example(mixture, references, np.stack([mixture, mixture]), BSS_AND_SI):
        for key in ("sdr_i", "sir_i", "si_sdr_i"):
            assert source.values[key] == pytest.approx(0, abs=1e-6)


def test_without_a_mixture_there_are_no_improvements():
    _, references, estimates = example()
    for source in score_example(None, references, estimates, BSS_AND_SI):
        assert set(source.values) == {"sdr", "sir", "sar", "si_sdr"}


@pytest.mark.parametrize(
    ("metrics", "count"), [(BSS_AND_SI, 1), (BSS_AND_SI, 3), (("si-sdr",), 2), (("si-sdr",), 5)]
)
def test_order_of_estimates_does_not_count(metrics, count):
    mixture, references, estimates = example(count, 1200)
    plain = score_example(mixture, references, estimates, metrics)
    moved = score_example(mixture, references, estimates[::-1], metrics)
    for a, b in zip(plain, moved, strict=True):
        assert a.estimate == count - 1 - b.estimate
        assert a.values == pytest.approx(b.values)


def test_the_permutation_is_by_sir_or_by_what_is_asked_for():
    assert score.criterion(["si-sdr", "sar"]) == "sir"
    assert score.criterion(["si-sdr", "sdr"]) == "sdr"
    assert score.criterion(["si-sdr", "stoi"]) == "si-sdr"
    # Each estimate is the other talker through a filter that BSS-eval forgives and SI-SDR not.
    _, references, _ = example()
    delayed = np.roll(references, 50, axis=1)
    estimates = 0.3 * references + delayed[::-1]
    assert [s.estimate for s in score_example(None, references, estimates, ["sdr"])] == [1, 0]
    assert [s.estimate for s in score_example(None, references, estimates, ["si-sdr"])] == [0, 1]
    both = score_example(None, references, estimates, ["si-sdr", "sir"])
    assert [s.estimate for s in both] == [1, 0]


@pytest.mark.parametrize(
    ("which", "value", "reason"),
    [
        (1, 0.0, "silent reference"),
        (2, 0.0, "silent estimate"),
        (1, np.nan, "reference is not finite"),
        (2, np.inf, "estimate is not finite"),
    ],
)
def test_a_silent_or_broken_signal_empties_its_own_source_only(which, value, reason):
    parts = example()
    parts[which][1] = value
    first, second = score_example(*parts, BSS_AND_SI)
    assert (first.estimate, second.estimate) == (0, 1)
    assert first.values["si_sdr"] is not None
    assert first.values["sdr_i"] is not None
    assert set(second.values.values()) == {None}
    assert set(second.null.values()) == {reason}
    assert set(second.null) == set(second.values)


def test_a_silent_mixture_empties_the_improvements():
    _, references, estimates = example()
    for source in score_example(np.zeros(3000), references, estimates, BSS_AND_SI):
        assert source.values["sdr"] is not None
        assert source.null["sdr_i"] == "mixture: silent estimate"
        assert "si_sdr" not in source.null


def test_one_source_has_no_interference():
    (source,) = score_example(*example(1), BSS_AND_SI)
    assert source.values["sir"] is None
    assert source.values["sir_i"] is None
    assert source.null["sir"] == "only one source: nothing interferes"
    assert source.values["sdr"] is not None


def test_dependent_references_keep_their_sdr_and_si_sdr():
    mixture, references, estimates = example()
    references[1] = references[0]
    for source in score_example(mixture, references, estimates, BSS_AND_SI):
        assert source.null["sir"] == source.null["sar"] == "references are linearly dependent"
        assert source.values["si_sdr"] is not None
        assert source.values["sdr"] is not None


@pytest.mark.parametrize("length", [1, 2, 40])
def test_very_short_signals(length):
    for source in score_example(*example(2, length), BSS_AND_SI):
        assert all((v is None) == (k in source.null) for k, v in source.values.items())


@pytest.mark.parametrize(
    ("count", "length", "there"),
    [(2, 400, ()), (2, 600, ("sdr",)), (2, 1100, ("sdr", "sir", "sar")), (1, 600, ("sdr", "sar"))],
)
def test_what_filters_fit_anything_to_is_no_score(count, length, there):
    """400 samples had a SAR of 100 dB, whatever the estimate."""
    for source in score_example(*example(count, length), BSS_AND_SI):
        assert {key for key in ("sdr", "sir", "sar") if source.values[key] is not None} == {*there}
        if "sdr" not in there:
            assert source.null["sdr"] == "too short for filters of 512 taps"
        assert source.values["si_sdr"] is not None


def test_a_mixture_that_is_its_only_talker_cannot_be_improved():
    """In files of 16 bits, at that: the mean of improvements had -76 dB more in it."""
    _, references, estimates = example()
    references[1] = 0
    mixture = np.rint(0.1 * references[0] * 2**15) / 2**15
    first, second = score_example(mixture, 0.1 * references, estimates, BSS_AND_SI)
    assert first.values["si_sdr_i"] is first.values["sdr_i"] is None
    assert first.null["si_sdr_i"] == "the mixture is this source alone"
    assert first.values["si_sdr"] is not None
    assert second.null["si_sdr_i"] == "silent reference"


def test_shapes_that_do_not_fit():
    _, references, estimates = example()
    with pytest.raises(ValueError, match="shape"):
        score_example(None, references, estimates[:, 1:])
    with pytest.raises(ValueError, match="shape"):
        score_example(None, references, estimates[:1])


def test_a_perceptual_metric_is_taken_for_each_pair(monkeypatch):
    calls = []

    def fake(reference, estimate, rate, _mode):
        calls.append(rate)
        if np.abs(estimate - reference).max() > 5:
            raise perceptual.UndefinedError("no speech")
        return 3.0

    monkeypatch.setattr(perceptual, "pesq", fake)
    mixture, references, estimates = example()
    first, second = score_example(mixture, references, estimates, ["pesq"], 16000)
    assert set(calls) == {16000}
    assert first.values == {"pesq": 3.0, "pesq_i": None}
    assert first.null == {"pesq_i": "mixture: no speech"}
    assert second.values["pesq_i"] == 0.0


@pytest.mark.parametrize("metric", ["pesq", "stoi"])
def test_a_missing_package_names_the_extra(metric, monkeypatch):
    monkeypatch.setitem(perceptual.PACKAGES, metric, "no_such_package")
    with pytest.raises(UsageError, match=r"cplxsep\[perceptual\]"):
        perceptual.require(["sdr", metric])


def test_pesq_and_stoi_rank_noisy_speech(examples):
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    soundfile = pytest.importorskip("soundfile")
    files = sorted(examples.glob("*s1.wav"))
    if not files:
        pytest.skip("no example recordings")
    speech, rate = soundfile.read(files[0])
    rough = speech + 0.1 * speech.std() * np.random.default_rng(0).standard_normal(len(speech))
    for metric in (perceptual.pesq, perceptual.stoi):
        assert metric(speech, speech, rate) > metric(speech, rough, rate)
    with pytest.raises(perceptual.UndefinedError, match="44100"):
        perceptual.pesq(speech, speech, 44100)
    with pytest.raises(perceptual.UndefinedError):
        perceptual.stoi(speech[:100], rough[:100], rate)


def test_pesq_in_both_bands(examples):
    library = pytest.importorskip("pesq")
    soundfile = pytest.importorskip("soundfile")
    speech, rate = soundfile.read(examples / "two_talkers_s1.wav")
    assert rate == 16000
    rough = speech + 0.1 * speech.std() * np.random.default_rng(0).standard_normal(len(speech))
    metrics = ("pesq", "pesq-nb", "pesq-wb")
    (at16,) = score_example(None, speech, rough, metrics, 16000)
    assert at16.values["pesq"] == at16.values["pesq_wb"] != at16.values["pesq_nb"]
    assert at16.values["pesq_nb"] == pytest.approx(library.pesq(16000, speech, rough, "nb"))
    (at8,) = score_example(None, speech[::2], rough[::2], metrics, 8000)
    assert at8.values["pesq"] == at8.values["pesq_nb"] is not None
    assert at8.null == {"pesq_wb": "wide-band PESQ is defined at 16000 Hz, not 8000 Hz"}


@pytest.mark.parametrize("metric", ["pesq", "stoi"])
def test_a_value_that_is_no_number_is_null(metric, monkeypatch):
    monkeypatch.setattr(perceptual, metric, lambda *_: float("nan"))
    for source in score_example(*example(), [metric], 16000):
        assert source.values == {metric: None, f"{metric}_i": None}


def test_isolation_is_of_the_order_that_all_scores_share():
    """Estimates the other way round; one talker never alone, one silent: null with a reason."""
    rate, rng = 8000, np.random.default_rng(0)
    references = 0.1 * rng.standard_normal((2, 6 * rate))
    references[0, 4 * rate :] = 0
    references[1, : 2 * rate] = 0
    estimates = (references + 0.1 * references[::-1])[::-1]
    metrics = ("si-sdr", "isolation")
    for found in score_example(references.sum(axis=0), references, estimates, metrics, rate):
        assert found.values["isolation"] == pytest.approx(20, abs=0.3)
        assert "isolation_i" not in found.values
    references[0] = 0
    silent, lone = score_example(None, references, estimates, ("isolation",), rate)
    assert (silent.values["isolation"], silent.null["isolation"]) == (None, "never talks alone")
    assert lone.values["isolation"] > 0
    (one,) = score_example(None, references[1:], estimates[:1], ("isolation",), rate)
    assert one.null["isolation"] == "only one source: there is no other output"


def test_beside_silence_the_order_is_by_error_and_not_by_likeness():
    """Regression: a faint clean trace was taken for the talker, and the talker for nothing."""
    rng = np.random.default_rng(0)
    talker = 0.1 * rng.standard_normal(8000)
    references = np.stack([talker, np.zeros(8000)])
    estimates = np.stack([0.01 * talker, talker + 0.01 * rng.standard_normal(8000)])
    first, second = score_example(None, references, estimates, ("si-sdr", "isolation"), 8000)
    assert (first.estimate, second.estimate) == (1, 0)
    assert first.values["isolation"] == pytest.approx(40, abs=0.5)


def test_isolation_from_a_broken_output_is_none():
    rng = np.random.default_rng(0)
    references = 0.1 * rng.standard_normal((2, 16000))
    references[0, 10000:], references[1, :6000] = 0, 0
    estimates = references.copy()
    estimates[1, 5] = np.nan
    for found in score_example(None, references, estimates, ("si-sdr", "isolation"), 8000):
        assert found.values["isolation"] is None
        assert found.null["isolation"] == "estimate is not finite"
