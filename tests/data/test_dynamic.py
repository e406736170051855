import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from synthetic import make_speech

from cplxsep.audio.level import db, rms
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.manifest import read_manifest, scan_folder
from cplxsep.errors import InputError

FIXED = {"speed": None, "gain_db": (0.0, 0.0)}


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
    return scan_folder(make_speech(tmp_path_factory.mktemp("speech"), speakers=6))


def dynamic(utterances, **options):
    settings = {"sample_rate": 8000, "sources": 2, "seconds": 0.5, "seed": 1} | options
    return DynamicMixtures(utterances, **settings)


@pytest.mark.parametrize("sources", [2, 3])
@pytest.mark.parametrize("seconds", [0.25, 3.0])
@pytest.mark.parametrize("speed", [None, (0.9, 1.1)])
def test_shapes_and_sum(utterances, sources, seconds, speed):
    mixtures = dynamic(utterances, sources=sources, seconds=seconds, speed=speed)
    for index in range(20):
        mixture, parts = mixtures.example(index)
        assert mixture.shape == (round(seconds * 8000),)
        assert parts.shape == (sources, *mixture.shape)
        assert mixture.dtype == parts.dtype == np.float32
        assert all(part.any() for part in parts)
        total = parts[0].copy()
        for part in parts[1:]:
            total += part
        np.testing.assert_array_equal(mixture, total)


def test_an_example_depends_on_seed_and_index_alone(utterances, tmp_path):
    one, other = dynamic(utterances), dynamic(utterances, cache=tmp_path / "cache")
    wanted = [one.example(index) for index in range(30)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(other.example, reversed(range(30))))[::-1]
    for (mixture, parts), (mixture_2, parts_2) in zip(wanted, got, strict=True):
        np.testing.assert_array_equal(mixture, mixture_2)
        np.testing.assert_array_equal(parts, parts_2)
    assert not np.array_equal(wanted[0][0], wanted[1][0])
    assert not np.array_equal(wanted[0][0], dynamic(utterances, seed=2).example(0)[0])


def test_levels(utterances):
    mixtures = dynamic(utterances, snr=(2.0, 5.0), **FIXED)
    ratios = []
    for index in range(100):
        _, (first, second) = mixtures.example(index)
        ratios.append(db(rms(first) / rms(second)))
    assert all(1.99 < abs(value) < 5.01 for value in ratios)
    # Either talker may be the louder one.
    assert 25 < sum(value > 0 for value in ratios) < 75


def test_gain_scales_all_alike(utterances):
    plain = dynamic(utterances, **FIXED).example(3)
    quiet = dynamic(utterances, speed=None, gain_db=(-20.0, -20.0)).example(3)
    for signal, scaled in zip(plain, quiet, strict=True):
        np.testing.assert_allclose(scaled, 0.1 * signal, rtol=1e-4, atol=1e-7)


def test_short_utterances_lie_anywhere(utterances):
    mixtures = dynamic(utterances, seconds=4.0, **FIXED)
    starts = [np.flatnonzero(mixtures.example(index)[1][0])[0] for index in range(40)]
    assert min(starts) < 8000 < 16000 < max(starts)


def test_crops_are_not_silence(tmp_path):
    make_speech(tmp_path, speakers=2, utterances=1)
    for path in tmp_path.rglob("*.wav"):
        audio, rate = soundfile.read(path)
        soundfile.write(path, np.concatenate([np.zeros(60000), audio, np.zeros(60000)]), rate)
    mixtures = dynamic(scan_folder(tmp_path), **FIXED)
    for index in range(50):
        for part in mixtures.example(index)[1]:
            assert rms(part) > 0.001


def test_resampled_to_the_rate_of_the_mixtures(tmp_path):
    utterances = scan_folder(make_speech(tmp_path, speakers=2, sample_rate=22050))
    mixture, _ = dynamic(utterances, seconds=1.0).example(0)
    assert mixture.shape == (8000,)


def test_in_a_share_of_the_mixtures_one_talker_pauses(utterances):
    """All else is as without pauses, to the bit."""
    plain, paused = (dynamic(utterances, seconds=1.0, pauses=share) for share in (0.0, 0.3))
    lengths, either = [], set()
    for index in range(300):
        before, after = plain.example(index)[1], paused.example(index)[1]
        mixture = paused.example(index)[0]
        np.testing.assert_array_equal(mixture, after[0] + after[1])
        changed = np.flatnonzero((before != after).any(0))
        if len(changed):
            which = (before != after).any(1)
            assert which.sum() == 1
            either.add(int(which.argmax()))
            span = slice(changed[0], changed[-1] + 1)
            assert not after[which][:, span].any()
            after[which, span] = before[which, span]
            lengths.append((changed[-1] + 1 - changed[0]) / 8000)
        np.testing.assert_array_equal(before, after)
    assert 60 < len(lengths) < 120
    assert either == {0, 1}
    assert max(lengths) <= 0.7
    assert 0.25 < np.mean(lengths) < 0.45


def test_fast_enough(utterances):
    mixtures = dynamic(utterances, seconds=3.0)
    start = time.process_time()
    for index in range(200):
        mixtures.example(index)
    assert 200 * 3.0 / (time.process_time() - start) > 400


def test_one_speaker(utterances):
    with pytest.raises(InputError, match="2 different speakers"):
        dynamic([item for item in utterances if item.speaker == "spk00"])


def test_too_few_speakers_left(tmp_path):
    make_speech(tmp_path, speakers=2, utterances=1)
    listed = scan_folder(tmp_path)
    soundfile.write(tmp_path / "spk01" / "utt0.wav", np.zeros(4000), 8000)
    told = []
    with pytest.raises(InputError, match="2 different speakers"):
        dynamic(listed, report=told.append)
    assert "is silent" in str(told[0])


def test_real_speech(shared_data):
    speech = read_manifest(shared_data / "speech.csv")
    chosen = [item for item in speech if item.split == "test"][::12]
    mixtures = dynamic(chosen, seconds=3.0)
    for index in range(10):
        mixture, parts = mixtures.example(index)
        assert np.isfinite(mixture).all()
        assert (rms(parts) > 1e-4).all()
