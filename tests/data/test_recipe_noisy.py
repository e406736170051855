import csv
import json

import numpy as np
import pytest
import soundfile
from synthetic import make_manifest, make_speech

from cplxsep.audio import io
from cplxsep.audio.level import active_rms, db
from cplxsep.data.folders import MixtureFolder
from cplxsep.data.noise import load_noise
from cplxsep.data.recipes.drawn_rooms import find_rooms, read_response
from cplxsep.data.recipes.noisy import NoisySettings, prepare_noisy
from cplxsep.data.recipes.rebuild import Roots, rebuild
from cplxsep.data.rooms import direct, read_rooms
from cplxsep.errors import InputError, UsageError

RATE = 8000


def make_noise(folder, clips=6, seconds=0.5):
    """Clips half of which is digital silence, and one long ambience; splits in a CSV."""
    rng = np.random.default_rng(5)
    lines = ["path,corpus,split,sample_rate,seconds"]
    (folder / "noise").mkdir(parents=True)
    for number in range(clips):
        audio = 0.1 * rng.standard_normal(round(seconds * RATE))
        audio[: len(audio) // 3] = 0
        soundfile.write(folder / "noise" / f"clip{number}.wav", audio, RATE)
        split = ("train", "valid", "test")[number % 3]
        lines.append(f"noise/clip{number}.wav,clips,{split},{RATE},{seconds}")
    soundfile.write(folder / "noise" / "long.wav", 0.2 * rng.standard_normal(9 * RATE), RATE)
    lines.append(f"noise/long.wav,ambience,test,{RATE},9.0")
    (folder / "noise.csv").write_text("\n".join(lines) + "\n")
    return folder / "noise.csv"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("noisy")
    make_manifest(root)
    make_noise(root)
    (root / "rooms").mkdir()
    rng = np.random.default_rng(1)
    for name, lag in (("near.wav", 3), ("far.wav", 300)):
        tail = rng.standard_normal((2, 2000)) * np.exp(-np.arange(2000) / 300) * 0.2
        tail[:, :lag] = 0
        tail[:, lag] = (0.9, -0.8)
        soundfile.write(root / "rooms" / name, tail.T, RATE)
    return root


def prepare(corpus, out, splits=("test",), rooms=None, workers=1, **options):
    report = options.pop("report", lambda _text: None)
    manifest_only = options.pop("manifest_only", False)
    return list(
        prepare_noisy(
            options.pop("speech", corpus / "speech.csv"),
            options.pop("noise", corpus / "noise.csv"),
            out,
            NoisySettings(**{"sample_rate": RATE, "count": 6} | options),
            rooms=rooms and str(rooms),
            splits=splits,
            workers=workers,
            manifest_only=manifest_only,
            report=report,
        )
    )


def table(folder):
    with (folder / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def signals(folder, row):
    names = ("mix", "s1", "noise")
    return [io.read(folder / name / f"{row['name']}.wav")[0][0] for name in names]


def test_layout_snr_and_sum(corpus, tmp_path):
    prepare(corpus, tmp_path, snr=(-5.0, 10.0), count=20)
    folder = tmp_path / "tt"
    for row in table(folder):
        mixture, speech, noise = signals(folder, row)
        np.testing.assert_array_equal(mixture, speech + noise)
        snr = db(active_rms(speech, RATE) / active_rms(noise, RATE))
        assert snr == pytest.approx(float(row["snr_db"]), abs=0.05)
        low, high = row["snr_bucket"].removesuffix(" dB").split(" to ")
        assert int(low) <= float(row["snr_db"]) < int(high)
        assert row["condition"] == row["noise_corpus"] in {"clips", "ambience"}
        # Neither the silent third of a clip nor a joint's gap: it sounds all the time.
        frames = noise[: len(noise) // 256 * 256].reshape(-1, 256)
        assert np.abs(frames).max(axis=1).min() > 0.2 * np.abs(noise).max()
    mixtures = MixtureFolder(folder)
    assert (len(mixtures), mixtures.sources) == (20, 1)
    assert {row["condition"] for row in table(folder)} == {"clips", "ambience"}
    facts = json.loads((folder / "summary.json").read_text())
    assert (facts["mixtures"], sum(facts["conditions"].values())) == (20, 20)
    assert (folder / "snr.png").read_bytes().startswith(b"\x89PNG")


def test_splits_share_no_recording(corpus, tmp_path):
    prepare(corpus, tmp_path, ("train", "valid", "test"), count=12)
    for column in ("noise_path", "source_1_speaker"):
        seen = [{row[column] for row in table(tmp_path / name)} for name in ("tr", "cv", "tt")]
        assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]


@pytest.mark.parametrize("reference", ["dry", "early"])
def test_the_reference_is_in_time_and_part_of_the_speech(corpus, tmp_path, reference):
    prepare(corpus, tmp_path, rooms=corpus / "rooms", reference=reference, count=8)
    for row in table(tmp_path / "tt"):
        mixture, heard, noise = signals(tmp_path / "tt", row)
        assert row["reference"] == reference
        wet = mixture - noise
        size = 1 << (2 * len(wet)).bit_length()
        cross = np.fft.irfft(np.fft.rfft(wet, size) * np.conj(np.fft.rfft(heard, size)), size)
        # The best match is at no delay, with the sign and level of the direct sound.
        assert np.argmax(np.abs(cross)) == 0
        assert 0.6 < cross[0] / np.sum(heard**2) < 1.8


def test_early_is_the_direct_sound_and_50_ms(corpus, tmp_path):
    prepare(corpus, tmp_path, rooms=corpus / "rooms")
    for row in table(tmp_path / "tt"):
        mixture, heard, noise = signals(tmp_path / "tt", row)
        name, channel = row["room"].split("#")
        room = read_rooms(corpus / "rooms" / name, RATE)[int(channel)]
        dry = io.read(corpus / row["source_1_path"])[0][0]
        gain = float(row["source_1_gain"]) * float(row["peak_gain"])
        late = np.convolve(dry, room[416:])[: len(dry) - 416] * gain
        np.testing.assert_allclose((mixture - noise - heard)[416:], late, atol=1e-4)
        assert not np.abs(mixture - noise - heard)[:416].max() > 1e-4


def test_simulated_rooms(corpus, tmp_path):
    pytest.importorskip("pyroomacoustics")
    prepare(corpus, tmp_path / "a", rooms="simulated", reference="dry", count=3)
    prepare(corpus, tmp_path / "b", rooms="simulated", reference="dry", count=3, workers=3)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    for row in table(tmp_path / "a" / "tt"):
        files = rebuild(row, Roots(corpus, corpus))
        for name, audio in zip(
            ("mix", "s1", "noise"), signals(tmp_path / "a/tt", row), strict=True
        ):
            np.testing.assert_array_equal(files[name], audio)
        wet = files["mix"] - files["noise"]
        assert np.dot(wet, files["s1"]) > 0.3 * np.dot(files["s1"], files["s1"])


@pytest.mark.parametrize("rooms", [None, "rooms"])
def test_rebuilt_from_the_table_alone(corpus, tmp_path, rooms):
    prepare(corpus, tmp_path / "files", rooms=rooms and corpus / rooms)
    prepare(corpus, tmp_path / "list", rooms=rooms and corpus / rooms, manifest_only=True)
    rows = table(tmp_path / "list" / "tt")
    assert rows == table(tmp_path / "files" / "tt")
    assert not list((tmp_path / "list").rglob("*.wav"))
    for row in rows:
        files = rebuild(row, Roots(corpus, corpus, corpus / "rooms"))
        for name, audio in zip(
            ("mix", "s1", "noise"), signals(tmp_path / "files/tt", row), strict=True
        ):
            np.testing.assert_array_equal(files[name], audio)


def test_same_bytes_whatever_the_workers(corpus, tmp_path):
    for out, workers in (("a", 1), ("b", 4)):
        prepare(corpus, tmp_path / out, ("train", "test"), corpus / "rooms", workers, count=10)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_bad_recordings_are_left_out(tmp_path):
    make_manifest(tmp_path)
    noise = make_noise(tmp_path)
    soundfile.write(tmp_path / "noise" / "clip2.wav", np.zeros(4000), RATE)
    short = np.zeros(4000)
    short[:500] = 0.1
    soundfile.write(tmp_path / "noise" / "clip5.wav", short, RATE)
    (tmp_path / "speech" / "spk07" / "utt0.wav").write_text("no audio")
    (tmp_path / "rooms").mkdir()
    soundfile.write(tmp_path / "rooms" / "good.wav", [0.5, 0.1, 0.1], RATE)
    soundfile.write(tmp_path / "rooms" / "bad.wav", np.zeros(10), RATE)
    told = []
    (done,) = prepare(
        tmp_path,
        tmp_path / "out",
        noise=noise,
        count=30,
        rooms=tmp_path / "rooms",
        report=told.append,
    )
    assert done.mixtures == 30
    assert len(told) == len(done.left_out) == 4
    for says in ("clip2.wav is silent", "less than 0.25 s", "not readable", "bad.wav is silent"):
        assert sum(says in text for text in told) == 1
    rows = table(tmp_path / "out" / "tt")
    assert {row["noise_path"] for row in rows} == {"noise/long.wav"}
    assert {row["room"] for row in rows} == {"good.wav#0"}


def test_speech_too_quiet_for_16_bits_is_left_out_alone(tmp_path):
    make_manifest(tmp_path)
    path = sorted((tmp_path / "speech" / "spk06").iterdir())[0]
    soundfile.write(path, soundfile.read(path)[0] * 1e-6, RATE, subtype="FLOAT")
    told = []
    prepare(tmp_path, tmp_path / "out", noise=make_noise(tmp_path), count=30, report=told.append)
    assert told == [f"{path} is silent where used"]


def test_rooms_that_cannot_be_read_are_left_out(corpus, tmp_path):
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms" / "bad.wav").write_bytes(b"no audio")
    soundfile.write(tmp_path / "rooms" / "good.wav", [0.5, 0.1, 0.1], RATE)
    told = []
    (done,) = prepare(corpus, tmp_path / "out", rooms=tmp_path / "rooms", report=told.append)
    assert told == done.left_out
    assert "bad.wav is not readable audio" in told[0]


def test_a_silent_channel_of_a_room_is_no_place(tmp_path):
    (tmp_path / "rooms").mkdir()
    responses = 0.1 * np.random.default_rng(0).standard_normal((4, 50))
    responses[:, 0] = 0.9
    responses[1] = 0
    path = tmp_path / "rooms" / "four.wav"
    soundfile.write(path, responses.T, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "rooms" / "silent.wav", np.zeros((50, 2)), RATE)
    told = []
    rooms, left_out = find_rooms(str(path.parent), told.append)
    assert told == left_out == [f"{path.with_name('silent.wav')} is silent"]
    places = rooms.draw_places(3, np.random.default_rng(0))
    assert sorted(places) == ["four.wav#0", "four.wav#2", "four.wav#3"]
    rng = np.random.default_rng(0)
    assert {rooms.draw(rng) for _ in range(50)} == set(places)
    for place in places:
        own = responses[int(place[-1])]
        response = read_response(place, path.parent, RATE)
        np.testing.assert_allclose(response, own / np.abs(own).max(), atol=1e-6)
    for room, says in (("four.wav#1", "is silent"), ("four.wav#4", "has 4 channels")):
        with pytest.raises(InputError, match=says):
            read_response(room, path.parent, RATE)


def test_reflections_louder_than_the_direct_sound_are_not_it():
    room = np.zeros(400, np.float32)
    room[16], room[28] = 1.0, 1.3
    dry = np.random.default_rng(0).standard_normal(800).astype(np.float32)
    np.testing.assert_array_equal(direct(dry, room, RATE)[16:], dry[:-16])


def test_nothing_left(tmp_path):
    make_manifest(tmp_path)
    noise = make_noise(tmp_path, clips=3)
    for name in ("clip2.wav", "long.wav"):
        (tmp_path / "noise" / name).unlink()
    with pytest.raises(InputError, match="no recording of noise can be used"):
        prepare(tmp_path, tmp_path / "out", noise=noise)


def test_folders_without_manifests(tmp_path):
    make_speech(tmp_path / "speech", speakers=7)
    make_noise(tmp_path, clips=7)
    done = prepare(
        *(tmp_path, tmp_path / "out", ("train", "valid", "test")),
        speech=tmp_path / "speech",
        noise=tmp_path / "noise",
    )
    assert [item.mixtures for item in done] == [6, 6, 6]
    assert len(load_noise(tmp_path / "noise")) == 8


def test_what_makes_no_sense(corpus, tmp_path):
    with pytest.raises(InputError, match="no folder of room responses, nor the word simulated"):
        prepare(corpus, tmp_path / "out", rooms="nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no audio"):
        prepare(corpus, tmp_path / "out", rooms=tmp_path / "empty")
    with pytest.raises(UsageError, match="has no split 'dev'"):
        prepare(corpus, tmp_path / "out", ("dev",))
    few = tmp_path / "few.csv"
    few.write_text((corpus / "noise.csv").read_text().replace(",valid,", ",train,"))
    for line in ("clip", "long"):
        few.write_text(few.read_text().replace(f"noise/{line}", f"{corpus}/noise/{line}"))
    with pytest.raises(InputError, match=r"split 'valid' of .* has no recording"):
        prepare(corpus, tmp_path / "out", ("valid",), noise=few)
    assert not (tmp_path / "out").exists()
