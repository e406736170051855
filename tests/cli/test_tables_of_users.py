"""Tables as people have them: saved by a spreadsheet, with wrong lengths, with rows twice."""

import csv

import numpy as np
import pytest
import soundfile
from corpora import make_librimix, make_wsj0
from scored import arguments, make
from synthetic import babble, make_manifest, make_speech

from cplxsep.data.layout import read_metadata
from cplxsep.data.recordings import decode
from cplxsep.data.table import read_table


def as_saved(path, form):
    """Save a table as a spreadsheet does."""
    text = path.read_text()
    head, _, rest = text.partition("\n")
    comma = ";" if form == "semicolons" else ","
    if form == "spaces":
        head = " " + head.replace(",", " , ") + " "
        rest = "\n".join(line.replace(",", ", ") for line in rest.splitlines()) + "\n"
    text = f"{head}\n{rest}".replace(",", comma)
    path.write_bytes(("\ufeff" + text.replace("\n", "\r\n")).encode())
    return path


FORMS = pytest.mark.parametrize("form", ["plain", "spaces", "semicolons"])


@FORMS
def test_any_table(tmp_path, form):
    path = tmp_path / "a.csv"
    path.write_text("name,what\na,1\n\nb\n")
    columns, rows = read_table(as_saved(path, form))
    assert columns == ["name", "what"]
    assert [(where, row["name"]) for where, row in rows] == [
        (f"{path} line 2", "a"),
        (f"{path} line 4", "b"),
    ]
    assert [row["what"] for _, row in rows] == ["1", ""]


@FORMS
def test_manifest_and_metadata(command, tmp_path, form):
    manifest = as_saved(make_manifest(tmp_path), form)
    mix = ("prepare", "mix", "--speech", manifest, "--split", "train", "--count", 2, "-o")
    assert command(*mix, tmp_path / "out").code == 0
    metadata = tmp_path / "out" / "tr" / "metadata.csv"
    before = read_metadata(metadata)
    after = read_metadata(as_saved(metadata, form))
    assert after == before
    # It is what tells that all is done.
    assert command(*mix, tmp_path / "out").code == 0


@FORMS
def test_librimix(command, tmp_path, form):
    metadata, speech, noise = make_librimix(tmp_path)
    done = command(
        *("prepare", "librimix", "--librispeech", speech, "--noise", noise, "--rate", 8000),
        *("--metadata", as_saved(metadata / "libri2mix_dev-clean.csv", form)),
        *("--mode", "min", "--types", "mix_both", "-o", tmp_path / "out"),
    )
    assert done.code == 0, done.err


def test_wsj0_lists(command, tmp_path):
    lists, corpus = make_wsj0(tmp_path)
    for path in lists.iterdir():
        path.write_bytes(("\ufeff" + path.read_text().replace("\n", "\r\n")).encode())
    done = command(
        *("prepare", "wsj0", "--lists", lists, "--wsj0", corpus, "-o", tmp_path / "out"),
        *("--mode", "min", "--rate", 8000, "--split", "tt"),
    )
    assert done.code == 0, done.err


@FORMS
def test_conditions_of_eval(command, tmp_path, form):
    data = make(tmp_path)
    as_saved(data / "tt" / "metadata.csv", form)
    done = command(*arguments(data))
    assert done.code == 0
    assert "far" in done.out


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def manifest(tmp_path):
    return make_manifest(tmp_path, per_split=4)


def mix(command, manifest, *amount):
    out = manifest.parent / "out"
    done = command(
        *("prepare", "mix", "--speech", manifest, "--split", "train", "-o", out, *amount)
    )
    return done, rows_of(out / "tr" / "metadata.csv")


def test_a_row_that_is_listed_twice(command, manifest):
    _, expected = mix(command, manifest, "--count", 3)
    lines = manifest.read_text().splitlines()
    again = lines[1].replace("speech/", "./speech/")
    manifest.write_text("\n".join([*lines, again, lines[2]]) + "\n")
    (manifest.parent / "out").rename(manifest.parent / "before")
    done, rows = mix(command, manifest, "--count", 3)
    assert done.code == 0
    assert f"lists 2 recordings again, first in {manifest} line {len(lines) + 1}" in done.err
    assert rows == expected


def test_a_row_that_contradicts_another(command, manifest):
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join([*lines, lines[1].replace(",train,", ",test,")]) + "\n")
    done = command("prepare", "mix", "--speech", manifest, "--count", 1, "-o", "out")
    assert done.code == 1
    assert "is listed before, of another speaker or split" in done.err


def test_lengths_that_are_too_large(command, manifest):
    _, expected = mix(command, manifest, "--hours", 15 / 3600)
    (manifest.parent / "out").rename(manifest.parent / "before")
    rows = rows_of(manifest)
    for row in rows[:2]:
        row["seconds"] = "100"
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    manifest.write_text("\n".join(lines) + "\n")
    done, mixed = mix(command, manifest, "--hours", 15 / 3600)
    assert done.code == 1
    told = [line for line in done.err.splitlines() if "not 100.0 as is listed; left out" in line]
    assert 1 <= len(told) <= 2
    assert abs(len(mixed) - len(expected)) <= 3
    assert sum(float(row["seconds"]) for row in mixed) > 14


@pytest.fixture
def spoilt(tmp_path):
    """A recording with one broken sample, among three talkers'."""
    path = make_speech(tmp_path / "speech", speakers=3, utterances=1) / "spk00" / "utt0.wav"
    audio = babble(1.0, 8000, 0)
    audio[4000] = 1e29
    soundfile.write(path, audio, 8000, subtype="FLOAT")
    return path


def test_one_broken_sample_in_a_preparation(command, tmp_path, spoilt):
    out = tmp_path / "out"
    done = command(
        *("prepare", "mix", "--speech", tmp_path / "speech", "-o", out),
        *("--count", 3, "--split", "train"),
    )
    assert done.code == 1
    (line,) = done.err.splitlines()[:-1]
    assert line.startswith(f"error: {spoilt} has 1 broken sample, up to 1e+29")
    assert "1 recordings left out" in done.err
    assert len(rows_of(out / "tr" / "metadata.csv")) == 3


def test_one_broken_sample_in_a_training(command, tmp_path, spoilt, tiny_config, tiny_speech):
    text = tiny_speech.read_text().replace("\n", f"\n{tiny_speech.parent}/").rpartition("\n")[0]
    more = text.splitlines()[1].split(",")
    more[0] = str(spoilt)
    (tmp_path / "more.csv").write_text("\n".join([text, ",".join(more)]) + "\n")
    config = tiny_config.read_text().replace(str(tiny_speech), str(tmp_path / "more.csv"))
    tiny_config.write_text(config)
    done = command("train", "--config", tiny_config, "--run-dir", tmp_path / "run", "--check")
    assert done.code == 0, done.err
    assert f"left out: {spoilt} has 1 broken sample" in " ".join(done.err.split())


@pytest.mark.parametrize(
    "audio",
    [
        np.r_[np.zeros(9000), 3 * babble(0.5, 8000, 1), np.zeros(50000)],  # loud, mostly silent
        30000 * babble(1.0, 8000, 1),  # the scale of 16 bits
        np.r_[0.01 * babble(1.0, 8000, 1), 0.99],  # a click of a recorder
    ],
)
def test_what_is_no_broken_sample(tmp_path, audio):
    soundfile.write(tmp_path / "a.wav", audio, 8000, subtype="FLOAT")
    assert len(decode(tmp_path / "a.wav", 8000)) == len(audio)
