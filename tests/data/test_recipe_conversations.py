"""`prepare conversations` and `prepare rooms`."""

import csv

import numpy as np
import pytest
import soundfile
from synthetic import make_manifest

from cplxsep.audio import io
from cplxsep.audio.level import active_rms, db
from cplxsep.config import ConversationConfig
from cplxsep.data.folders import MixtureFolder
from cplxsep.data.recipes.conversations import ConversationSettings, prepare_conversations
from cplxsep.data.recipes.rebuild import Roots, rebuild
from cplxsep.data.recipes.simulated_rooms import prepare_rooms
from cplxsep.data.rooms import load_rooms
from cplxsep.errors import InputError

RATE = 8000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("talk")
    make_manifest(root)
    (root / "noise").mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal(4 * RATE)
    soundfile.write(root / "noise" / "hiss.wav", noise, RATE)
    (root / "noise.csv").write_text(
        f"path,corpus,split,sample_rate,seconds\nnoise/hiss.wav,made,test,{RATE},4.0\n"
    )
    prepare_rooms(root / "rooms", count=2, sample_rate=RATE)
    return root


def prepare(corpus, out, talk=None, speech=None, **options):
    around = {name: options.pop(name) for name in ("noise", "rooms", "workers") if name in options}
    settings = ConversationSettings(
        talk=ConversationConfig(**{"share": 1.0, "turns": (0.5, 1.0)} | (talk or {})),
        sample_rate=RATE,
        **{"seconds": 6.0, "count": 2} | options,
    )
    speech = speech or corpus / "speech.csv"
    (done,) = prepare_conversations(speech, out, settings, splits=["test"], **around)
    with done.metadata.open() as file:
        return list(csv.DictReader(file)), out / "tt"


@pytest.mark.parametrize("reference", ["heard", "dry"])
def test_files_add_up_at_the_levels_that_the_table_tells(corpus, tmp_path, reference):
    rows, folder = prepare(
        corpus,
        tmp_path / "out",
        {"reference": reference},
        noise=corpus / "noise.csv",
        rooms=str(corpus / "rooms"),
        noise_snr=(10.0, 10.0),
    )
    mixtures = MixtureFolder(folder)
    assert mixtures.sources == 2
    for row in rows:
        mixture, sources, rate = mixtures.load(row["name"])
        (noise,), _ = io.read(folder / "noise" / f"{row['name']}.wav")
        assert (rate, len(mixture)) == (RATE, 6 * RATE)
        assert row["condition"] == "room and noise"
        assert row["source_1_room"] != row["source_2_room"]
        assert np.abs(mixture).max() <= 0.9 + 1e-4
        speech = mixture - noise
        assert db(active_rms(speech, RATE) / active_rms(noise, RATE)) == pytest.approx(10, abs=0.1)
        if reference == "heard":
            np.testing.assert_array_equal(speech, sources.sum(axis=0))
            ratio = db(active_rms(sources[0], RATE) / active_rms(sources[1], RATE))
            assert ratio == pytest.approx(float(row["source_2_snr_db"]), abs=0.1)


def test_bytes_depend_on_settings_alone_and_an_interrupted_run_goes_on(corpus, tmp_path):
    rows, first = prepare(corpus, tmp_path / "a", workers=1)
    _, second = prepare(corpus, tmp_path / "b", workers=3)
    # As if stopped after the first conversation.
    (second / "metadata.csv").unlink()
    (second / "s2" / f"{rows[1]['name']}.wav").unlink()
    prepare(corpus, tmp_path / "b")
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len([file for file in files if file.suffix == ".rttm"]) == 2
    for file in files:
        if file.suffix != ".png":
            assert (first / file).read_bytes() == (second / file).read_bytes(), file
    with pytest.raises(InputError, match="holds a different preparation"):
        prepare(corpus, tmp_path / "a", {"pauses": 0.9})


def test_rttm_says_who_speaks_when(corpus, tmp_path):
    rows, folder = prepare(corpus, tmp_path / "out", {"overlap": (0.0, 0.0)})
    for row in rows:
        _, sources, _ = MixtureFolder(folder).load(row["name"])
        said = np.zeros(sources.shape, bool)
        for line in (folder / "rttm" / f"{row['name']}.rttm").read_text().splitlines():
            kind, name, channel, start, seconds, *_, speaker, _, _ = line.split()
            assert (kind, name, channel) == ("SPEAKER", row["name"], "1")
            first = round(float(start) * RATE)
            said[int(speaker[1:]) - 1, first : first + round(float(seconds) * RATE)] = True
        energy = np.square(sources)
        assert energy[said].sum() > 0.99 * energy.sum()
        assert energy[~said].max() < 0.1 * energy.max()


def test_one_who_is_alone(corpus, tmp_path):
    rows, folder = prepare(corpus, tmp_path / "out", {"alone": 1.0})
    for row in rows:
        _, sources, _ = MixtureFolder(folder).load(row["name"])
        assert sorted(sources.any(axis=1)) == [False, True]
        assert row["talking"] == "1"


def test_overlap_of_the_table(corpus, tmp_path):
    none, _ = prepare(corpus, tmp_path / "none", {"overlap": (0.0, 0.0)})
    much, _ = prepare(corpus, tmp_path / "much", {"overlap": (0.8, 0.8), "pauses": 0.0})
    assert [float(row["overlap"]) for row in none] == [0.0, 0.0]
    assert all(0.5 < float(row["overlap"]) <= 0.9 for row in much)


def test_bad_recordings_are_replaced(corpus, tmp_path):
    make_manifest(tmp_path)
    bad = tmp_path / "speech" / "spk06" / "utt0.wav"
    soundfile.write(bad, np.zeros(RATE), RATE)
    rows, folder = prepare(corpus, tmp_path / "out", speech=tmp_path / "speech.csv", count=4)
    assert len(rows) == 4
    assert len(list((folder / "mix").glob("*.wav"))) == 4


def test_a_row_alone_makes_no_conversation(corpus, tmp_path):
    rows, _ = prepare(corpus, tmp_path / "out")
    with pytest.raises(InputError, match="cannot be made again from its row"):
        rebuild(rows[0], Roots(corpus))


def test_rooms_are_made_once(tmp_path):
    table = prepare_rooms(tmp_path / "rooms", count=2, places=3, sample_rate=RATE, seed=5)
    again = prepare_rooms(tmp_path / "more", count=2, places=3, sample_rate=RATE, seed=5)
    assert table.read_text() == again.read_text()
    files = sorted((tmp_path / "rooms").glob("*.wav"))
    for file in files:
        assert file.read_bytes() == (tmp_path / "more" / file.name).read_bytes()
    rooms = load_rooms(tmp_path / "rooms", RATE)
    assert [len(places) for places in rooms] == [3, 3]
    for places in rooms:
        # Each begins with its direct sound, and they differ.
        assert all(np.argmax(np.abs(place)) <= 16 for place in places)
        assert not np.array_equal(places[0], places[1])
    with pytest.raises(InputError, match="rooms of other settings"):
        prepare_rooms(tmp_path / "rooms", count=2, places=3, sample_rate=16000, seed=5)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds other files"):
        prepare_rooms(tmp_path / "full", count=1)


def test_lost_speech_times_are_made_again(corpus, tmp_path):
    """Regression: a finished preparation was taken for whole without them."""
    rows, folder = prepare(corpus, tmp_path)
    file = folder / "rttm" / f"{rows[0]['name']}.rttm"
    before = file.read_bytes()
    file.unlink()
    assert prepare(corpus, tmp_path)[0] == rows
    assert file.read_bytes() == before
