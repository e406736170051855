import csv
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from synthetic import make_manifest, make_speech

from cplxsep.audio import io
from cplxsep.audio.atomic import sweep
from cplxsep.audio.level import active_rms, db, rms
from cplxsep.config import ConversationConfig
from cplxsep.data.folders import MixtureFolder
from cplxsep.data.recipes import mix as recipe
from cplxsep.data.recipes.conversations import ConversationSettings, prepare_conversations
from cplxsep.data.recipes.mix import MixSettings, prepare_mix
from cplxsep.data.recipes.noisy import NoisySettings, prepare_noisy
from cplxsep.errors import InputError, UsageError


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_manifest(tmp_path_factory.mktemp("corpus"), sample_rate=16000)


def prepare(speech, out, splits=("test",), workers=1, report=lambda _text: None, **settings):
    if "hours" not in settings:
        settings.setdefault("count", 4)
    return list(
        prepare_mix(
            speech, out, MixSettings(**settings), splits=splits, workers=workers, report=report
        )
    )


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def table(folder):
    with (folder / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def as_steps(path):
    return soundfile.read(path, dtype="int16")[0].astype(int)


def test_layout_and_metadata(manifest, tmp_path):
    done = prepare(manifest, tmp_path / "out", ("train", "valid", "test"))
    assert [item.metadata for item in done] == [
        tmp_path / "out" / split / "metadata.csv" for split in ("tr", "cv", "tt")
    ]
    speakers = {}
    for item in done:
        folder = MixtureFolder(item.metadata.parent)
        rows = table(folder.path)
        assert (item.mixtures, item.left_out) == (4, [])
        assert sorted(row["name"] for row in rows) == folder.names
        assert sorted(path.name for path in folder.path.iterdir()) == [
            *("metadata.csv", "mix", "preparation.json", "s1", "s2", "snr.png", "summary.json")
        ]
        for row in rows:
            mixture, _, rate = folder.load(row["name"])
            assert (rate, row["sample_rate"], row["condition"]) == (8000, "8000", "babble")
            assert float(row["seconds"]) == pytest.approx(len(mixture) / 8000)
            assert row["split"] == folder.path.name
            assert (manifest.parent / row["source_2_path"]).is_file()
            pair = {row["source_1_speaker"], row["source_2_speaker"]}
            assert len(pair) == 2
            speakers.setdefault(row["split"], set()).update(pair)
    for one, other in itertools.combinations(speakers.values(), 2):
        assert not one & other


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("level", ["rms", "active"])
@pytest.mark.parametrize("sources", [2, 3])
def test_files_hold_what_was_asked(manifest, tmp_path, mode, level, sources):
    prepare(manifest, tmp_path, mode=mode, level=level, sources=sources, snr=(-3.0, 5.0), seed=5)
    folder = MixtureFolder(tmp_path / "tt")
    for row in table(folder.path):
        mixture_file, source_files = folder.files(row["name"])
        assert soundfile.info(mixture_file).subtype == "PCM_16"
        # In the files the mixture is the sources' sum to the last bit.
        parts = [as_steps(file) for file in source_files]
        np.testing.assert_array_equal(as_steps(mixture_file), sum(parts))
        assert np.abs(as_steps(mixture_file)).max() <= 0.9 * 32768 + sources
        levels = [loudness(part, level, mode) for part in parts]
        for number in range(sources):
            wanted = float(row[f"source_{number + 1}_snr_db"])
            assert -3.0 <= wanted <= 5.0
            assert db(levels[0] / levels[number]) == pytest.approx(wanted, abs=0.05)
        lengths = {soundfile.info(file).frames for file in source_files}
        assert len(lengths) == 1


def loudness(part, level, mode):
    if mode == "max":
        part = np.trim_zeros(part, "b")
    return active_rms(part, 8000) if level == "active" else rms(part)


def test_gain_and_offset_lead_back_to_the_recording(manifest, tmp_path):
    prepare(manifest, tmp_path, sample_rate=16000)
    folder = MixtureFolder(tmp_path / "tt")
    for row in table(folder.path):
        _, sources, _ = folder.load(row["name"])
        for number, source in enumerate(sources, 1):
            original = io.read(manifest.parent / row[f"source_{number}_path"])[0][0]
            start = int(row[f"source_{number}_offset"])
            gain = float(row[f"source_{number}_gain"]) * float(row["peak_gain"])
            piece = original[start : start + len(source)]
            np.testing.assert_allclose(source, gain * piece, atol=1.01 / 65536)


def test_same_bytes_for_one_seed_whatever_the_workers(manifest, tmp_path):
    for out, workers in (("a", 1), ("b", 2), ("c", 5)):
        prepare(manifest, tmp_path / out, ("train", "test"), workers, count=12, seed=3)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") == contents(tmp_path / "c")
    prepare(manifest, tmp_path / "d", ("train", "test"), count=12, seed=4)
    assert contents(tmp_path / "a").keys() != contents(tmp_path / "d").keys()


def test_hours(manifest, tmp_path):
    (done,) = prepare(manifest, tmp_path, hours=0.005)
    assert 18.0 <= done.seconds < 20.0


def test_names_are_unique_and_safe(tmp_path):
    make_speech(tmp_path / "in", speakers=2, utterances=1)
    (tmp_path / "in" / "spk00").rename(tmp_path / "in" / "Zoë: a|b")
    manifest_free = prepare(tmp_path / "in", tmp_path / "out", ("train",), count=20, snr=(0.0, 0.0))
    names = [row["name"] for row in table(manifest_free[0].metadata.parent)]
    assert len({name.casefold() for name in names}) == 20
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzZ0123456789-_.") for name in names)


def test_done_is_not_done_again(manifest, tmp_path, monkeypatch):
    first = prepare(manifest, tmp_path)

    def fail(*_):
        raise AssertionError("mixed again")

    monkeypatch.setattr(recipe.Mix, "render", fail)
    assert prepare(manifest, tmp_path) == first


@pytest.mark.parametrize("after", [0, 1, 5])
def test_interrupted_and_continued(manifest, tmp_path, monkeypatch, after):
    prepare(manifest, tmp_path / "whole", count=8)
    render = recipe.Mix.render
    made = []

    def stop(own, task):
        if len(made) == after:
            raise KeyboardInterrupt
        made.append(task.name)
        return render(own, task)

    monkeypatch.setattr(recipe.Mix, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(manifest, tmp_path / "parts", count=8)
    (tmp_path / "parts" / "tt" / "s1" / ".cplxsep-0.tmp").write_text("left by a killed run")
    journal = tmp_path / "parts" / "tt" / ".progress.jsonl"
    with journal.open("a") as file:
        file.write('{"name": "torn')
    assert not (tmp_path / "parts" / "tt" / "metadata.csv").exists()
    monkeypatch.setattr(recipe.Mix, "render", lambda *own: made.append(own[1].name) or render(*own))
    sweep.cache_clear()  # as in a new process
    prepare(manifest, tmp_path / "parts", count=8)
    assert len(made) == len(set(made)) == 8
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_stopped_at_once_and_continued(manifest, tmp_path, monkeypatch):
    (tmp_path / "tt").mkdir()
    (tmp_path / "tt" / ".cplxsep-0.tmp").write_text("left by a killed run")
    mkdir = Path.mkdir

    def stop(path, *args, **options):
        mkdir(path, *args, **options)
        if path.name == "mix":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", stop)
        with pytest.raises(KeyboardInterrupt):
            prepare(manifest, tmp_path)
    (done,) = prepare(manifest, tmp_path)
    assert done.mixtures == 4
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text")
def test_a_name_that_is_no_valid_text(tmp_path):
    speech = make_speech(tmp_path / "in", speakers=2)
    (speech / "spk00").rename(speech / "spk\udcff")
    first = prepare(speech, tmp_path / "out", ("train",))
    assert b"spk\xff" in first[0].metadata.read_bytes()
    assert prepare(speech, tmp_path / "out", ("train",)) == first


def test_a_lost_file_is_made_again(manifest, tmp_path):
    prepare(manifest, tmp_path)
    before = contents(tmp_path)
    file = next((tmp_path / "tt" / "s2").glob("*.wav"))
    file.unlink()
    prepare(manifest, tmp_path)
    assert contents(tmp_path) == before
    # Regression: a file that was cut off passed for whole.
    file.write_bytes(file.read_bytes()[:-2])
    prepare(manifest, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "says"),
    [({"seed": 1}, "seed"), ({"count": 5}, "count"), ({"snr": (0.0, 4.0)}, "snr")],
)
def test_a_different_preparation_is_not_touched(manifest, tmp_path, change, says):
    prepare(manifest, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(InputError, match=rf"different preparation \(other {says}\)"):
        prepare(manifest, tmp_path, **change)
    assert contents(tmp_path) == before


def test_a_table_that_was_cut_off_is_written_again(manifest, tmp_path):
    prepare(manifest, tmp_path)
    before, table = contents(tmp_path), tmp_path / "tt" / "metadata.csv"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:-1]))
    prepare(manifest, tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "change", [lambda _: "{", lambda _: "[]", lambda t: t.replace("[]", '"x"')]
)
def test_a_corrupt_record(manifest, tmp_path, change):
    prepare(manifest, tmp_path)
    record = tmp_path / "tt" / "preparation.json"
    record.write_text(change(record.read_text()))
    with pytest.raises(InputError, match="corrupt"):
        prepare(manifest, tmp_path)


def test_other_files_are_not_touched(manifest, tmp_path):
    (tmp_path / "tt").mkdir()
    (tmp_path / "tt" / "precious.txt").write_text("mine")
    with pytest.raises(InputError, match="already holds other files"):
        prepare(manifest, tmp_path)
    assert list(contents(tmp_path)) == ["tt/precious.txt"]


def test_unwritable_output(manifest, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write in"):
        prepare(manifest, tmp_path / "file" / "out")


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_full_disk_leaves_no_half_file(manifest, tmp_path):
    # A limit on the size of files stops the writing as a full disk does; some mixtures fit.
    code = """
import resource, sys
from pathlib import Path
from cplxsep.data.recipes.mix import MixSettings, prepare_mix
from cplxsep.data.recipes.noisy import NoisySettings, prepare_noisy
from cplxsep.errors import InputError
resource.setrlimit(resource.RLIMIT_FSIZE, (14000, 14000))
settings = MixSettings(count=20, seed=1)
try:
    list(prepare_mix(Path(sys.argv[1]), Path("out"), settings, splits=["test"], workers=1))
except InputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, manifest],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("cannot write out/tt/")
    assert done.stdout.count("\n") == 1
    for file in tmp_path.rglob("*.wav"):
        assert io.read(file)[1] == 8000
    assert not list(tmp_path.rglob("*.tmp"))
    assert not (tmp_path / "tt" / "metadata.csv").exists()


def spoil(manifest):
    """Damage 4 of the 6 utterances of the test split; the good ones are of two speakers."""
    one, other, last = (
        sorted((manifest.parent / "speech" / f"spk0{i}").iterdir()) for i in (6, 7, 8)
    )
    soundfile.write(one[0], np.zeros(16000), 16000)
    io.write(other[0], np.full(16000, np.nan, np.float32), 16000)
    last[0].unlink()
    io.write(last[1], np.full(1, 0.5, np.float32), 16000)
    return ["is silent", "holds samples that are NaN or infinite", "does not exist", "shorter than"]


@pytest.mark.parametrize("workers", [1, 3])
def test_bad_utterances_are_reported_and_left_out(tmp_path, workers):
    manifest = make_manifest(tmp_path / "in", sample_rate=16000)
    reasons = spoil(manifest)
    told = []
    (done,) = prepare(manifest, tmp_path / "out", workers=workers, count=20, report=told.append)
    assert done.mixtures == 20
    assert len(told) == len(done.left_out) == 4
    for reason in reasons:
        assert sum(reason in text for text in told) == 1
    used = {row[f"source_{i}_path"] for row in table(tmp_path / "out" / "tt") for i in (1, 2)}
    assert used == {"speech/spk06/utt1.wav", "speech/spk07/utt1.wav"}
    again = []
    assert prepare(manifest, tmp_path / "out", count=20, report=again.append) == [done]
    assert sorted(again) == sorted(told)


def test_bad_utterances_change_nothing_with_the_workers(tmp_path):
    manifest = make_manifest(tmp_path / "in", sample_rate=16000)
    spoil(manifest)
    prepare(manifest, tmp_path / "a", count=20)
    prepare(manifest, tmp_path / "b", count=20, workers=4)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_too_few_good_speakers(tmp_path):
    manifest = make_manifest(tmp_path / "in", per_split=2)
    for file in (manifest.parent / "speech" / "spk04").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="without the bad utterances, mixtures of 2 talkers need"):
        prepare(manifest, tmp_path / "out")


def test_cut_to_silence_is_left_out(tmp_path):
    # The loud part of one utterance lies past the end of the shorter one.
    make_speech(tmp_path / "in", speakers=3, utterances=1)
    late = np.concatenate([np.zeros(80000), np.full(800, 0.1)])
    soundfile.write(tmp_path / "in" / "spk01" / "utt0.wav", late, 8000)
    told = []
    (done,) = prepare(tmp_path / "in", tmp_path / "out", ("train",), count=30, report=told.append)
    assert done.mixtures == 30
    assert ["silent where used" in text for text in told] == [True]


def test_a_talker_too_quiet_for_16_bits_is_left_out_alone(tmp_path):
    make_speech(tmp_path / "in", speakers=3, utterances=1)
    path = tmp_path / "in" / "spk01" / "utt0.wav"
    soundfile.write(path, soundfile.read(path)[0] * 1e-6, 8000, subtype="FLOAT")
    told = []
    (done,) = prepare(tmp_path / "in", tmp_path / "out", ("train",), count=20, report=told.append)
    assert done.mixtures == 20
    assert told == [f"{path} is silent where used"]


def test_folder_without_manifest(tmp_path):
    speech = make_speech(tmp_path / "in", speakers=7)
    prepare(speech, tmp_path / "out", ("train", "valid", "test"))
    row = table(tmp_path / "out" / "tr")[0]
    assert (row["condition"], row["split"]) == ("in", "tr")
    assert (speech / row["source_1_path"]).is_file()


@pytest.mark.parametrize(
    ("speakers", "says"),
    [
        (1, "has 1 speaker, mixtures of 2 talkers need 2$"),
        (4, "split 'valid' of .* has 0 speakers"),
    ],
)
def test_too_few_speakers(tmp_path, speakers, says):
    speech = make_speech(tmp_path / "in", speakers=speakers)
    with pytest.raises(InputError, match=says):
        prepare(speech, tmp_path / "out", ("train", "valid", "test"))
    assert not (tmp_path / "out").exists()


def test_a_speaker_in_two_splits(tmp_path):
    manifest = make_manifest(tmp_path)
    manifest.write_text(manifest.read_text().replace("spk00,train", "spk00,test", 1))
    with pytest.raises(InputError, match="spk00 of babble is in two splits"):
        prepare(manifest, tmp_path / "out")


def test_settings_that_make_no_sense(manifest, tmp_path):
    with pytest.raises(UsageError, match="either a count"):
        prepare(manifest, tmp_path, count=1, hours=1.0)
    for nothing in ({"count": 0}, {"hours": 0.0}, {"splits": ()}):
        with pytest.raises(UsageError, match="nothing to prepare"):
            prepare(manifest, tmp_path, **nothing)
    with pytest.raises(UsageError, match="no split 'dev', only test, train, valid"):
        prepare(manifest, tmp_path, ("dev",))
    speech = make_speech(tmp_path / "in", speakers=2)
    with pytest.raises(UsageError, match="lies in the input folder"):
        prepare(speech, speech / "out", ("train",))


def test_a_split_of_any_name(tmp_path):
    manifest = make_manifest(tmp_path)
    manifest.write_text(manifest.read_text().replace(",test,", ",dev,"))
    prepare(manifest, tmp_path / "out", ("dev",))
    assert json.loads((tmp_path / "out" / "dev" / "preparation.json").read_text())["left_out"] == []


@pytest.mark.parametrize(
    ("splits", "says"),
    [
        (("train", "tr"), "splits 'train' and 'tr' would both be written to tr"),
        (("test", "..", "valid"), r"split '\.\.' is no name for a folder"),
        (("a/b",), "split 'a/b' is no name for a folder"),
    ],
)
def test_splits_that_no_folder_can_take(manifest, tmp_path, splits, says):
    """Regressions: of two splits in one folder the second was refused when the first was done,
    and one named .. was written outside of the folder asked for.
    """
    around = (
        MixSettings(count=1),
        NoisySettings(count=1),
        ConversationSettings(ConversationConfig(), count=1),
    )
    recipes = prepare_mix, prepare_noisy, prepare_conversations
    for make, settings in zip(recipes, around, strict=True):
        noise = [manifest] if make is prepare_noisy else []
        with pytest.raises(UsageError, match=says):
            list(make(manifest, *noise, tmp_path / "out", settings, splits=splits))
    assert not (tmp_path / "out").exists()
