"""`prepare mix`: sparse mixtures, speed, P.56, tables without files, what is left out."""

import csv
import itertools
import json
import shutil

import numpy as np
import pytest
import soundfile
from synthetic import make_manifest, make_speech

from cplxsep.audio import io
from cplxsep.data.listed import ListedMixtures
from cplxsep.data.recipes import mix as recipe
from cplxsep.data.recipes.mix import MixSettings, prepare_mix
from cplxsep.data.recipes.rebuild import Roots, rebuild
from cplxsep.errors import InputError


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return make_manifest(tmp_path_factory.mktemp("corpus"), sample_rate=16000, per_split=5)


def prepare(speech, out, splits=("test",), **settings):
    others = {
        key: settings.pop(key) for key in ("workers", "manifest_only", "report") if key in settings
    }
    settings.setdefault("count", 5)
    return list(prepare_mix(speech, out, MixSettings(**settings), splits=splits, **others))


def table(folder):
    with (folder / "metadata.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def files_of(folder, row, sources):
    names = ["mix", *(f"s{number + 1}" for number in range(sources))]
    return {name: io.read(folder / name / f"{row['name']}.wav")[0][0] for name in names}


VARIANTS = [
    {},
    {"sources": 5, "snr": (-3.0, 3.0)},
    {"mode": "max", "sources": 3, "overlap": 0.3},
    {"overlap": 0.5, "speed": (0.9, 1.1)},
    {"mode": "max", "level": "p56", "overlap": 0.0, "sample_rate": 16000},
]


@pytest.mark.parametrize("settings", VARIANTS)
def test_rebuilt_from_the_table_alone(manifest, tmp_path, settings):
    sources = settings.get("sources", 2)
    prepare(manifest, tmp_path / "files", workers=1, **settings)
    prepare(manifest, tmp_path / "list", manifest_only=True, workers=3, **settings)
    rows = table(tmp_path / "list" / "tt")
    assert rows == table(tmp_path / "files" / "tt")
    assert not list((tmp_path / "list").rglob("*.wav"))
    for row in rows:
        files = files_of(tmp_path / "files" / "tt", row, sources)
        again = rebuild(row, Roots(manifest.parent))
        assert files.keys() == again.keys()
        for name, audio in files.items():
            np.testing.assert_array_equal(again[name], audio)
        np.testing.assert_array_equal(
            files["mix"], sum(files[f"s{number + 1}"] for number in range(sources))
        )
        assert np.abs(files["mix"]).max() < 0.901


@pytest.mark.parametrize("overlap", [0.0, 0.4])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_sparse_mixtures(manifest, tmp_path, overlap, mode):
    prepare(manifest, tmp_path, overlap=overlap, mode=mode, sources=3)
    for row in table(tmp_path / "tt"):
        spans = []
        for number in (1, 2, 3):
            start = int(row[f"source_{number}_start"])
            spans.append((start, start + int(row[f"source_{number}_samples"])))
        for (first, end), (start, last) in itertools.pairwise(spans):
            shorter = min(end - first, last - start)
            assert end - start == pytest.approx(overlap * shorter, abs=1)
        files = files_of(tmp_path / "tt", row, 3)
        assert len(files["mix"]) == int(row["samples"]) == max(end for _, end in spans)
        for number, (start, end) in enumerate(spans, 1):
            outside = np.concatenate([files[f"s{number}"][:start], files[f"s{number}"][end:]])
            assert not outside.any()


def test_hours_of_sparse_mixtures(manifest, tmp_path):
    settings = {"overlap": 0.0, "mode": "max", "count": None, "hours": 0.01}
    (done,) = prepare(manifest, tmp_path, **settings)
    assert 36.0 <= done.seconds < 40.0


def test_speed_changes_the_length(manifest, tmp_path):
    prepare(manifest, tmp_path, speed=(0.8, 0.9), mode="max", sample_rate=16000)
    for row in table(tmp_path / "tt"):
        for number in (1, 2):
            speed = float(row[f"source_{number}_speed"])
            assert 0.8 <= speed <= 0.9
            frames = soundfile.info(manifest.parent / row[f"source_{number}_path"]).frames
            assert int(row[f"source_{number}_samples"]) == pytest.approx(frames / speed, abs=2)


def test_the_choice_of_talkers_is_the_same_in_all_variants(manifest, tmp_path):
    plain, *others = [
        [row["name"] for row in table(prepare(manifest, tmp_path / str(n), **v)[0].metadata.parent)]
        for n, v in enumerate([{}, {"overlap": 0.5}, {"speed": (0.9, 1.1)}, {"mode": "max"}])
    ]
    assert all(names == plain for names in others)


def test_a_table_becomes_files(manifest, tmp_path):
    prepare(manifest, tmp_path / "a", manifest_only=True)
    prepare(manifest, tmp_path / "a")
    prepare(manifest, tmp_path / "b")
    for file in (tmp_path / "b").rglob("*"):
        if file.is_file():
            same = tmp_path / "a" / file.relative_to(tmp_path / "b")
            assert same.read_bytes() == file.read_bytes()


def test_an_interrupted_table_is_continued(manifest, tmp_path, monkeypatch):
    prepare(manifest, tmp_path / "whole", manifest_only=True)
    render, made = recipe.Mix.render, []

    def stop(own, task):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(task.name)
        return render(own, task)

    monkeypatch.setattr(recipe.Mix, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        prepare(manifest, tmp_path / "parts", manifest_only=True, workers=1)
    monkeypatch.setattr(recipe.Mix, "render", lambda *own: made.append(own[1].name) or render(*own))
    prepare(manifest, tmp_path / "parts", manifest_only=True, workers=1)
    assert len(made) == 5
    assert table(tmp_path / "parts" / "tt") == table(tmp_path / "whole" / "tt")


def test_copies_and_clipped_files_are_left_out(tmp_path):
    speech = make_speech(tmp_path / "in", speakers=4)
    shutil.copy(speech / "spk00" / "utt0.wav", speech / "spk03" / "copy.wav")
    audio, rate = soundfile.read(speech / "spk02" / "utt0.wav")
    soundfile.write(speech / "spk02" / "utt0.wav", np.clip(20 * audio, -1, 1), rate)
    told = []
    (done,) = prepare(speech, tmp_path / "out", ("train",), count=40, report=told.append)
    assert told == done.left_out
    assert "spk03/copy.wav is a copy of" in told[0]
    assert "spk02/utt0.wav is clipped" in told[1]
    used = {row[f"source_{n}_path"] for row in table(tmp_path / "out" / "tr") for n in (1, 2)}
    assert used & {"spk03/copy.wav", "spk02/utt0.wav"} == set()
    assert len(used) == 7


def test_summary(manifest, tmp_path):
    prepare(manifest, tmp_path, sources=3, snr=(1.0, 2.0), count=12)
    facts = json.loads((tmp_path / "tt" / "summary.json").read_text())
    assert (facts["mixtures"], facts["speakers"], facts["conditions"]) == (12, 5, {"babble": 12})
    assert 1.0 <= facts["snr_db"]["least"] <= facts["snr_db"]["mean"] <= 2.0
    assert (tmp_path / "tt" / "snr.png").read_bytes().startswith(b"\x89PNG")


def test_long_names(tmp_path):
    speech = make_speech(tmp_path / "in", speakers=5, utterances=1)
    for number in range(5):
        (speech / f"spk0{number}" / "utt0.wav").rename(
            speech / f"spk0{number}" / f"{'x' * 200}.wav"
        )
    (done,) = prepare(speech, tmp_path / "out", ("train",), sources=5, count=3)
    assert done.mixtures == 3


def listed(manifest, metadata, **options):
    settings = {"sample_rate": 8000, "sources": 2, "seconds": 0.5, "seed": 1} | options
    return ListedMixtures(metadata, Roots(manifest.parent), **settings)


def test_training_on_a_table(manifest, tmp_path):
    (done,) = prepare(manifest, tmp_path, manifest_only=True, count=6)
    examples = listed(manifest, done.metadata)
    assert len(examples) == 6
    for index in (0, 7, 40):
        mixture, sources = examples.example(index)
        assert (mixture.shape, sources.shape, mixture.dtype) == ((4000,), (2, 4000), np.float32)
        np.testing.assert_array_equal(mixture, sources.sum(axis=0))
        np.testing.assert_array_equal(listed(manifest, done.metadata).example(index)[0], mixture)
    # A round takes each mixture once: whole ones can be told apart.
    whole = listed(manifest, done.metadata, seconds=2.0)
    rounds = [{whole.example(6 * turn + i)[0].tobytes() for i in range(6)} for turn in range(2)]
    assert len(rounds[0]) == 6
    assert rounds[0] == rounds[1]


def test_a_table_that_does_not_fit(manifest, tmp_path):
    (done,) = prepare(manifest, tmp_path, manifest_only=True)
    with pytest.raises(InputError, match="has 2 sources at 8000 Hz, not 3 at 8000 Hz"):
        listed(manifest, done.metadata, sources=3)
    with pytest.raises(InputError, match="lists no mixture"):
        listed(manifest, tmp_path / "none.csv")
    row = table(done.metadata.parent)[0]
    with pytest.raises(InputError, match="does not tell how it was mixed"):
        rebuild({**row, "peak_gain": "?"}, Roots(manifest.parent))
    with pytest.raises(InputError, match="does not exist"):
        rebuild(row, Roots(tmp_path))
