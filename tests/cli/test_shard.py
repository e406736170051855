"""`--shard I/N`: jobs that share the work, each a part of its own."""

import csv
import json

import numpy as np
import pytest
import soundfile
from scored import NAMES, arguments, make

from cplxsep.parallel import Shard


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with seven recordings in `in`, one of them no audio."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(6):
        audio = 0.1 * np.random.default_rng(number).standard_normal(800)
        soundfile.write(tmp_path / "in" / f"{number}.wav", audio, 8000)
    (tmp_path / "in" / "no.wav").write_bytes(b"text")
    return tmp_path


@pytest.mark.parametrize("of", [1, 2, 3, 7, 9])
def test_parts_share_nothing_and_are_all(of):
    parts = [Shard(number + 1, of).take(range(7)) for number in range(of)]
    assert sorted(item for part in parts for item in part) == list(range(7))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def outputs(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_write_what_one_run_writes(folder, command, model):
    plain = command("separate", "in", "-m", model, "-o", "plain", "--json")
    whole = json.loads(plain.out)
    files = []
    for number in (3, 1, 2):
        done = command(
            "separate", "in", "-m", model, "-o", "out", "--json", "--shard", f"{number}/3"
        )
        found = json.loads(done.out)
        assert found["shard"] == f"{number}/3"
        assert done.code == (1 if number == 1 else 0)  # no.wav is the seventh
        files += [entry["input"] for entry in found["files"]]
    assert sorted(files) == [entry["input"] for entry in whole["files"]]
    assert outputs(folder / "out") == outputs(folder / "plain")


@pytest.mark.usefixtures("folder")
def test_more_shards_than_files(command, model):
    done = command("separate", "in/0.wav", "-m", model, "--shard", "2/2")
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize("text", ["3/2", "0/4", "x", "1/0", "-1/2", "1/2/3"])
@pytest.mark.usefixtures("folder")
def test_what_is_no_shard(command, model, text):
    for words in (
        ("separate", "in", "-m", model),
        ("prepare", "rooms", "-o", "rooms"),
        ("eval", "--est", "in", "--ref", "in"),
    ):
        done = command(*words, f"--shard={text}")
        assert (done.code, done.out) == (2, "")
        (line,) = done.err.splitlines()
        assert line.startswith(f"error: --shard {text}: write I/N")


@pytest.mark.usefixtures("folder")
def test_standard_input_has_no_shards(command, model):
    done = command("separate", "-", "-m", model, "--shard", "1/2")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "standard input" in done.err


@pytest.mark.parametrize("exist", ["skip", "overwrite"])
def test_outputs_among_the_inputs(folder, command, model, exist):
    """What one shard has written would be in the list of the next."""
    done = command("separate", "in", "-m", model, "-o", "in", "--shard", "1/2", "--exist", exist)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "--out" in done.err
    assert len(list((folder / "in").iterdir())) == 7


def test_names_that_clash_with_those_of_another_shard(folder, command, model):
    (folder / "more").mkdir()
    (folder / "in" / "0.wav").rename(folder / "more" / "1.wav")
    for shard in ("1/2", "2/2"):
        done = command("separate", "in/1.wav", "more/1.wav", "-m", model, "--shard", shard)
        assert done.code == 2
        assert "would both write" in done.err


def test_scores_of_shards(tmp_path, command):
    data, names = make(tmp_path), []
    for number in (1, 2):
        table = tmp_path / f"{number}.csv"
        done = command(*arguments(data, "--csv", table, "--shard", f"{number}/2"))
        assert done.code == 0
        with table.open(newline="") as file:
            names += [row["name"] for row in csv.DictReader(file)][::2]
    assert names == [NAMES[0], NAMES[2], NAMES[1]]


def test_an_unfinished_preparation_prints_no_table(tmp_path, command):
    from synthetic import make_manifest

    manifest = make_manifest(tmp_path)
    printed = [
        command(
            *("prepare", "mix", "--speech", manifest, "--split", "test", "--count", 3),
            *("-o", tmp_path / "out", "--shard", f"{number}/2"),
        )
        for number in (1, 2)
    ]
    table = tmp_path / "out" / "tt" / "metadata.csv"
    assert [done.out for done in printed] == ["", f"{table}\n"]
    assert "the shard that ends last writes metadata.csv" in printed[0].err
