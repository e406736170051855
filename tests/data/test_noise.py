"""Noise recordings, rooms, and noisy speech made while training."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from synthetic import babble, make_speech

from cplxsep.audio.level import db, rms
from cplxsep.config import NoiseConfig
from cplxsep.data.dynamic_noisy import NoisySpeech, own_snr
from cplxsep.data.manifest import scan_folder
from cplxsep.data.noise import active_parts, active_runs, load_noise, stretch
from cplxsep.data.rooms import load_rooms, reverberate
from cplxsep.errors import InputError

RATE = 8000
PLAIN = dict.fromkeys(["noise_only", "clean", "reverberant", "band_limited", "clipped"], 0.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("noisy")
    make_speech(root / "speech", speakers=4)
    rng = np.random.default_rng(0)
    (root / "noise" / "deep").mkdir(parents=True)
    hiss = 0.1 * rng.standard_normal(4 * RATE)
    hiss[RATE : 2 * RATE] = 0
    soundfile.write(root / "noise" / "hiss.wav", hiss, RATE)
    soundfile.write(root / "noise" / "deep" / "short.wav", 0.1 * rng.standard_normal(900), RATE)
    (root / "rooms").mkdir()
    decay = np.exp(-np.arange(RATE // 4) / 400) * rng.standard_normal(RATE // 4) * 0.2
    decay[100] = 2.0
    soundfile.write(root / "rooms" / "hall.flac", np.clip(decay / 2, -1, 1), RATE)
    return root


def noisy(folders, seconds=0.8, **options):
    damage = NoiseConfig(**PLAIN | {"own_snr": 0} | options.pop("damage", {}))
    return NoisySpeech(
        scan_folder(folders / "speech"),
        load_noise(folders / "noise"),
        damage=damage,
        sample_rate=RATE,
        seconds=seconds,
        **{"snr": (0.0, 10.0), "seed": 3} | options,
    )


def test_load_noise_finds_files_at_any_depth(folders):
    found = load_noise(folders / "noise")
    assert [item.speaker for item in found] == ["deep/short.wav", "hiss.wav"]


def test_only_what_lies_in_a_folder_may_be_hidden(folders, tmp_path, monkeypatch):
    """Not the folder that the user names."""
    for name in (".hidden", "speech/.trash", "speech/a"):
        (tmp_path / name).mkdir(parents=True)
        soundfile.write(tmp_path / name / "x.wav", np.ones(RATE) / 2, RATE)
    monkeypatch.chdir(folders / "noise" / "deep")
    assert len(load_noise(Path(".."))) == 2
    assert len(load_rooms(Path("../../rooms"), RATE)) == 1
    assert len(load_rooms(Path(".."), RATE)) == 2
    assert len(load_noise(tmp_path / ".hidden")) == 1
    assert [item.speaker for item in scan_folder(tmp_path / "speech")] == ["a"]


def test_rooms_that_cannot_be_read_are_told(folders, tmp_path):
    shutil.copytree(folders / "rooms", tmp_path / "rooms")
    (tmp_path / "rooms" / "cut.wav").write_bytes(b"")
    told = []
    assert len(load_rooms(tmp_path / "rooms", RATE, told.append)) == 1
    assert [str(error) for error in told] == [f"{tmp_path}/rooms/cut.wav is empty (0 bytes)"]


def test_load_noise_reads_a_manifest_without_speakers(folders, tmp_path):
    path = folders / "noise.csv"
    path.write_text("path,corpus,split,sample_rate,seconds\nnoise/hiss.wav,made,train,8000,4.0\n")
    (item,) = load_noise(path)
    assert (item.speaker, item.split, item.path.exists()) == ("noise/hiss.wav", "train", True)
    bad = tmp_path / "bad.csv"
    bad.write_text("path,corpus,split,sample_rate\n")
    with pytest.raises(InputError, match="no column seconds"):
        load_noise(bad)


def test_load_noise_of_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="holds no audio"):
        load_noise(tmp_path)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 200))
def test_active_runs_are_what_is_not_digital_silence(frames, rest):
    frame = round(0.032 * RATE)
    audio = np.repeat(np.array(frames, np.float32), frame)
    audio = np.concatenate([audio, np.full(rest, 0.5, np.float32)])
    if not audio.any():
        return
    kept = active_parts(audio, RATE)
    assert rms(kept) > 0.4
    assert np.square(kept).sum() == pytest.approx(np.square(audio).sum())
    assert all(0 <= start < end <= len(audio) for start, end in active_runs(audio, RATE))


def test_stretch_repeats_without_a_jump():
    time = np.arange(2000) / RATE
    hum = np.sin(2 * np.pi * 200 * time).astype(np.float32)
    long = stretch(hum, 9000, 400)
    assert len(long) >= 9000
    np.testing.assert_array_equal(long[:1600], hum[:1600])
    # No step from sample to sample that the hum itself does not have, but for the fade's sqrt(2).
    assert np.abs(np.diff(long)).max() <= 1.5 * np.abs(np.diff(hum)).max()
    assert stretch(hum, 1000, 400) is hum


def test_rooms_begin_with_the_direct_sound(folders):
    ((room,),) = load_rooms(folders / "rooms", RATE)
    assert np.argmax(np.abs(room)) == 16
    assert np.abs(room).max() == pytest.approx(1)


def test_reverberant_speech_and_its_early_part(folders):
    ((room,),) = load_rooms(folders / "rooms", RATE)
    speech = babble(1.0, RATE, 0)
    wet, early = reverberate(speech, room, RATE)
    expected = np.convolve(speech, room)[: len(speech)]
    np.testing.assert_allclose(wet, expected, atol=1e-5)
    # After the speech has ended only the tail is left, and the reference is silent by then.
    burst = np.zeros(RATE, np.float32)
    burst[:400] = np.random.default_rng(0).standard_normal(400)
    wet, early = reverberate(burst, room, RATE)
    assert np.abs(early[1000:]).max() < 1e-6 < np.abs(wet[1000:1500]).max()


def test_shapes_levels_and_repetition(folders, tmp_path):
    one, other = noisy(folders), noisy(folders, cache=tmp_path)
    wanted = [one.example(index) for index in range(20)]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(other.example, reversed(range(20))))[::-1]
    ratios = []
    for (mixture, reference), (mixture_2, reference_2) in zip(wanted, got, strict=True):
        assert mixture.shape == (6400,)
        assert reference.shape == (1, 6400)
        assert mixture.dtype == reference.dtype == np.float32
        np.testing.assert_array_equal(mixture, mixture_2)
        np.testing.assert_array_equal(reference, reference_2)
        ratios.append(db(rms(reference[0]) / rms(mixture - reference[0])))
    # Active speech level: pauses make the plain ratio a little lower.
    assert -5 < min(ratios) < max(ratios) <= 10.1


@pytest.mark.parametrize(
    ("damage", "holds"),
    [
        ({"noise_only": 1.0}, lambda m, r: not r.any() and m.any()),
        ({"clean": 1.0}, lambda m, r: np.array_equal(m, r) and m.any()),
        ({"clean": 1.0, "clipped": 1.0}, lambda m, r: np.abs(m).max() < 0.85 * np.abs(r).max()),
    ],
)
def test_each_damage_is_what_it_says(folders, damage, holds):
    for index in range(5):
        mixture, (reference,) = noisy(folders, damage=damage).example(index)
        assert holds(mixture, reference)


def test_a_narrow_band_is_the_same_for_both(folders):
    cuts = []
    for index in range(8):
        full = noisy(folders, damage={"clean": 1.0}).example(index)
        limited = noisy(folders, damage={"clean": 1.0, "band_limited": 1.0}).example(index)
        before, after = (np.abs(np.fft.rfft(signal[0])) for signal in (full, limited))
        heard = before > 1e-3 * before.max()
        gain = after[heard] / before[heard]
        assert (gain < 1.01).all()
        cuts.append(gain.min())
        np.testing.assert_array_equal(limited[0], limited[1][0])
    assert min(cuts) < 0.1


def test_a_room_changes_the_mixture_and_the_reference_stays_near(folders):
    settings = {"damage": {"reverberant": 1.0, "clean": 1.0, "rooms": str(folders / "rooms")}}
    mixture, (reference,) = noisy(folders, **settings).example(1)
    tail = rms(mixture - reference) / rms(reference)
    assert 0.001 < tail < 1


def test_own_snr_tells_clean_speech_from_noisy():
    speech = babble(2.0, RATE, 1)
    background = np.random.default_rng(0).standard_normal(len(speech)).astype(np.float32)
    noisy_speech = speech + 10 ** (-15 / 20) * rms(speech) * background
    assert own_snr(noisy_speech, RATE) < 25 < own_snr(speech + 1e-4 * background, RATE)
    assert own_snr(speech[:10], RATE) == 0


def test_speech_that_is_all_too_noisy_is_refused(folders):
    with pytest.raises(InputError, match=r"SNR of its own of 200.0 dB"):
        noisy(folders, damage={"own_snr": 200.0})
