"""What enhancement is scored on: real noise in real speech, at the ratio asked for, repeatable."""

import numpy as np
import pytest
import soundfile
from noisy_mixtures import RATE, SECONDS, draw_pairs, score

from cplxsep.audio.level import active_rms, db
from cplxsep.data.noise import active_runs


@pytest.fixture(scope="module")
def pairs(shared_data):
    return draw_pairs(shared_data / "speech.csv", shared_data / "noise.csv", "test", 4, seed=0)


def test_the_same_seed_draws_the_same(pairs, shared_data):
    again = draw_pairs(shared_data / "speech.csv", shared_data / "noise.csv", "test", 2, seed=0)
    for one, other in zip(again, pairs[:2], strict=True):
        assert np.array_equal(one.speech, other.speech)
        assert np.array_equal(one.noise, other.noise)
    assert not np.array_equal(pairs[0].speech, pairs[1].speech)


@pytest.mark.parametrize("snr", [-5.0, 15.0])
def test_ratio_and_length(pairs, snr):
    for pair in pairs:
        mixture, speech = pair.at(snr)
        assert mixture.shape == speech.shape == pair.noise.shape
        assert SECONDS[0] <= mixture.size / RATE <= SECONDS[1]
        noise = mixture - speech
        ratio = db(active_rms(speech, RATE) / active_rms(noise, RATE))
        assert ratio == pytest.approx(snr, abs=0.05)


def test_noise_has_no_digital_silence(shared_data, tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal(4 * RATE)
    noise[RATE : 3 * RATE] = 0
    soundfile.write(tmp_path / "half.wav", noise, RATE)
    rows = "path,corpus,split,sample_rate,seconds\nhalf.wav,made,test,16000,4.0\n"
    (tmp_path / "noise.csv").write_text(rows)
    for pair in draw_pairs(shared_data / "speech.csv", tmp_path / "noise.csv", "test", 3, seed=0):
        runs = active_runs(pair.noise, RATE)
        assert sum(end - start for start, end in runs) > 0.95 * pair.noise.size  # half of it else


def test_scores_rank_a_cleaner_estimate_higher(pairs):
    pytest.importorskip("pesq")
    pytest.importorskip("pystoi")
    (worse, speech), (better, _) = pairs[0].at(-5.0), pairs[0].at(15.0)
    low, high = score((speech, [worse, better]))
    assert all(low[key] < high[key] for key in low)
