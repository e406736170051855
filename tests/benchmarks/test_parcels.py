"""Parcels of speech and noise: what comes out is what went in, and a manifest of it."""

import numpy as np
import parcels
import pytest
import soundfile

from cplxsep.data.manifest import load_speech
from cplxsep.data.noise import load_noise
from cplxsep.errors import InputError

SPLITS = ["valid", "train"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of 20 talkers and 4 noises, of several rates and lengths."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    speech = ["path,corpus,speaker,split,sample_rate,seconds"]
    noise = ["path,corpus,split,sample_rate,seconds"]
    for number in range(24):
        rate, seconds = (8000, 16000, 44100)[number % 3], 1.5 + 0.37 * (number % 5)
        time = np.arange(round(seconds * rate)) / rate
        audio = 0.3 * np.sin(2 * np.pi * (200 + 60 * number) * time)
        audio += 0.001 * rng.standard_normal(time.size)
        soundfile.write(folder / f"{number}.wav", audio, rate)
        split = ("train", "train", "valid", "test")[number % 4]
        rest = f"{split},{rate},{time.size / rate:.3f}"
        if number < 20:
            speech.append(f"{number}.wav,made,t{number // 2},{rest}")
        else:
            noise.append(f"{number}.wav,hum,{rest}")
    (folder / "speech.csv").write_text("\n".join(speech) + "\n")
    (folder / "noise.csv").write_text("\n".join(noise) + "\n")
    return folder


@pytest.fixture
def small(monkeypatch):
    """Recordings of some utterances."""
    monkeypatch.setattr(parcels, "SECONDS", 4.0)


@pytest.mark.usefixtures("small")
def test_what_is_unpacked_is_what_was_packed(data, tmp_path):
    made = parcels.pack(data, tmp_path / "out", SPLITS, kbits=64, most=0.06)
    assert len(made) > 1
    assert all(path.stat().st_size <= 0.06e6 for path in made)
    assert parcels.unpack(made, tmp_path / "data") == {"speech": 15, "noise": 3}
    for load, name in ((load_speech, "speech.csv"), (load_noise, "noise.csv")):
        given = [item for item in load(data / name) if item.split in SPLITS]
        found = load(tmp_path / "data" / name)
        assert sorted(map(facts, found)) == sorted(map(facts, given))
        assert {item.sample_rate for item in found} == {16000}
    talkers = {
        (item.speaker, pitch(item)) for item in load_speech(tmp_path / "data" / "speech.csv")
    }
    known = load_speech(data / "speech.csv")
    assert talkers == {(item.speaker, pitch(item)) for item in known if item.split in SPLITS}


def facts(item):
    return item.corpus, item.split, round(item.seconds, 2)


def pitch(item):
    """Of a tone, in tens of Hz."""
    audio, rate = soundfile.read(item.path)
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(audio.size)))
    return round(spectrum.argmax() * rate / audio.size / 10)


@pytest.mark.usefixtures("small")
def test_the_first_parcel_alone_can_be_used(data, tmp_path):
    made = parcels.pack(data, tmp_path / "out", SPLITS, most=0.03)
    parcels.unpack(made[:1], tmp_path / "data")
    speech = load_speech(tmp_path / "data" / "speech.csv")
    assert any(item.split == "valid" for item in speech)
    assert all(item.path.is_file() for item in speech)


def test_fewer_bits_make_less(data, tmp_path):
    sizes = [
        sum(path.stat().st_size for path in parcels.pack(data, tmp_path / f"{k}", SPLITS, kbits=k))
        for k in (12, 48)
    ]
    assert sizes[0] < 0.7 * sizes[1]


def test_mistakes_are_one_line(data, tmp_path):
    with pytest.raises(InputError, match="nothing of the splits dev"):
        parcels.pack(data, tmp_path / "out", ["dev"])
    (tmp_path / "no.parcel").write_text("no")
    with pytest.raises(InputError, match="is no parcel"):
        parcels.unpack([tmp_path / "no.parcel"], tmp_path)
