"""Conversations made while training."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soundfile
from synthetic import make_hall, make_speech

from cplxsep.audio.level import active_rms, db, rms
from cplxsep.config import parse_config
from cplxsep.data.dynamic_conversations import Conversations
from cplxsep.data.manifest import scan_folder
from cplxsep.data.noise import load_noise
from cplxsep.errors import InputError

RATE = 8000
PLAIN = dict.fromkeys(["noise_only", "clean", "reverberant", "band_limited", "clipped"], 0.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("talk")
    make_speech(root / "speech", speakers=4, utterances=3)
    rng = np.random.default_rng(0)
    for name in ("noise", "rooms"):
        (root / name).mkdir()
    soundfile.write(root / "noise" / "hiss.wav", 0.1 * rng.standard_normal(4 * RATE), RATE)
    make_hall(root / "rooms" / "hall.wav", RATE, rng)
    return root


def made(folders, seconds=3.0, noise=None, conversation=None, cache=None, talkers=2, **data):
    config = parse_config(
        {
            "model": {"sources": talkers},
            "train": {"loss": "floored-snr"},
            "data": {"speed": [1.0, 1.0], "snr": [-10.0, 10.0]} | data,
            "noise": PLAIN | {"own_snr": 0} | (noise or {}),
            "conversation": {"share": 1.0, "turns": [0.5, 1.0]} | (conversation or {}),
        },
        "test",
    )
    noises = load_noise(folders / "noise") if config.noise.recordings else []
    return Conversations(
        scan_folder(folders / "speech"),
        noises,
        config,
        sample_rate=RATE,
        seconds=seconds,
        seed=3,
        cache=cache,
    )


def test_shapes_sums_and_repetition(folders, tmp_path):
    noise = {"recordings": "given", "rooms": str(folders / "rooms"), "reverberant": 0.5}
    one = made(folders, noise=noise, speed=[0.9, 1.1])
    other = made(folders, noise=noise, speed=[0.9, 1.1], cache=tmp_path)
    wanted = [one.example(index) for index in range(12)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(other.example, reversed(range(12))))[::-1]
    for (mixture, sources), (mixture_2, sources_2) in zip(wanted, got, strict=True):
        assert mixture.shape == (3 * RATE,)
        assert sources.shape == (2, 3 * RATE)
        assert mixture.dtype == sources.dtype == np.float32
        np.testing.assert_array_equal(mixture, mixture_2)
        np.testing.assert_array_equal(sources, sources_2)


def test_dry_and_without_noise_the_mixture_is_the_sum(folders):
    for index in range(6):
        mixture, sources = made(folders).example(index)
        np.testing.assert_array_equal(mixture, sources[0] + sources[1])


def test_alone_and_nobody(folders):
    for index in range(6):
        _, sources = made(folders, conversation={"alone": 1.0}).example(index)
        assert sorted(sources.any(axis=1)) == [False, True]
        noise = {"recordings": "given", "noise_only": 1.0}
        mixture, sources = made(folders, noise=noise).example(index)
        assert mixture.any()
        assert not sources.any()


def test_turns_against_talking_throughout(folders):
    """The share says which of the two an example is."""
    both = []
    for share in (1.0, 0.0):
        examples = made(folders, conversation={"share": share, "overlap": [0, 0], "alone": 0})
        heard = [np.abs(examples.example(index)[1]) > 1e-4 for index in range(8)]
        # Over 50 ms: the pauses within words do not count.
        talking = np.stack(heard)[..., : 3 * RATE // 400 * 400].reshape(8, 2, -1, 400).any(-1)
        both.append(talking.all(axis=1).mean())
    assert both[0] < 0.05
    assert both[1] > 0.6


def test_a_room_with_places_gives_each_talker_another(folders):
    settings = {"rooms": str(folders / "rooms"), "reverberant": 1.0}
    wet = made(folders, noise=settings)
    near = made(folders, noise=settings, conversation={"reference": "dry"})
    for index in range(4):
        mixture, heard = wet.example(index)
        mixture_2, dry = near.example(index)
        np.testing.assert_array_equal(mixture, mixture_2)
        assert not np.array_equal(heard, dry)
        np.testing.assert_allclose(mixture, heard.sum(axis=0), atol=1e-6)


def test_noise_lies_as_far_under_the_talkers_as_asked_for(folders):
    noise = {"recordings": "given", "snr": [10.0, 10.0]}
    for index in range(8):
        mixture, sources = made(folders, noise=noise, conversation={"share": 0.0}).example(index)
        speech = sources.sum(axis=0)
        ratio = db(active_rms(speech, RATE) / rms(mixture - speech))
        assert ratio == pytest.approx(10.0, abs=2.0)  # by the level of a little more than is in it


def test_a_last_syllable_is_not_made_as_loud_as_a_talker(folders):
    """Regression: of whom a crop held a few milliseconds was brought to the level of speech."""
    examples = made(folders, seconds=0.5, conversation={"alone": 0.0}, snr=[0.0, 0.0])
    for index in range(150):
        _, sources = examples.example(index)
        peaks = np.abs(sources).max(axis=1)
        if peaks.all():
            assert peaks.max() / peaks.min() < 300
            assert peaks.max() < 2.0


def test_three_talkers_at_two_rates_of_turns(folders):
    for share in (0.0, 1.0):
        mixture, sources = made(folders, conversation={"share": share}, talkers=3).example(0)
        assert sources.shape == (3, 3 * RATE)
        np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-6)


def test_levels_of_the_talkers_differ_by_what_is_asked_for(folders):
    found = []
    for index in range(16):
        _, sources = made(folders, conversation={"share": 0.0}).example(index)
        found.append(db(rms(sources[0]) / rms(sources[1])))
    assert -14 < min(found) < -2 < 2 < max(found) < 14


def test_too_few_talkers(tmp_path):
    make_speech(tmp_path, speakers=1)
    config = parse_config({"train": {"loss": "sa-sdr"}, "conversation": {"share": 1}}, "test")
    with pytest.raises(InputError, match="need 2 different speakers"):
        Conversations(scan_folder(tmp_path), [], config, sample_rate=RATE, seconds=2.0)
