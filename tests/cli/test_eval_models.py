"""`cplxsep eval` of models on prepared mixtures."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scored import NAMES, RATE, make, put, signals

from cplxsep.audio import io
from cplxsep.metrics.sisdr import si_sdr


@pytest.fixture
def data(tmp_path) -> Path:
    return make(tmp_path)


def test_a_model_on_the_command_line(command, data, model):
    from cplxsep.engine.separator import Separator

    form = ("eval", "--model", model, "--device", "cpu", "--metrics", "si-sdr")
    done = command(*form, "--data", data, "--split", "tt", "--json", "--csv", data / "a.csv")
    assert (done.code, done.err) == (0, "")
    result = json.loads(done.out)
    assert (result["examples"], set(result["by"]["condition"])) == (3, {"clean", "far"})
    references, _ = signals(NAMES[0])
    mixture = io.read(data / "tt" / "mix" / f"{NAMES[0]}.wav")[0][0]
    estimates = Separator.load(model, device="cpu")(mixture, RATE)
    for j, source in enumerate(result["per_example"][0]["sources"]):
        expected = si_sdr(references[j], estimates[int(source["estimate"][1]) - 1])
        assert source["si_sdr"] == pytest.approx(expected, abs=1e-2)
    with (data / "a.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [*np.repeat(NAMES, 2)]
    # A table for the mixtures of a list; it may stand beside the list.
    (data / "tt" / "some.csv").write_text(f"name\n{NAMES[2]}\n")
    more = ("--data", data / "tt" / "some.csv", "--csv", data / "tt" / "new.csv")
    done = command(*form, *more, "--fail-under", "si-sdr=500")
    assert done.code == 1
    assert "SI-SDRi dB" in done.out
    assert len((data / "tt" / "new.csv").read_text().splitlines()) == 3


def test_a_model_on_a_prepared_split(command, data, monkeypatch):
    from standins import Stand, copies

    from cplxsep.engine.separator import Separator

    monkeypatch.setattr(
        Separator, "load", classmethod(lambda cls, _model, **options: cls(Stand(copies), **options))
    )
    form = ("eval", "--model", "m", "--device", "cpu", "--metrics", "si-sdr", "--json", "--data")
    for where in ((data, "--split", "tt"), (data / "tt",), (data,)):
        result = json.loads(command(*form, *where).out)
        assert [entry["name"] for entry in result["per_example"]] == list(NAMES)
        assert result["summary"]["si_sdr_i"]["mean"] == pytest.approx(0, abs=0.02)
    (data / "tt" / "some.csv").write_text(f"name\n{NAMES[2]}\n")
    result = json.loads(command(*form, data / "tt" / "some.csv").out)
    assert [entry["name"] for entry in result["per_example"]] == [NAMES[2]]
    put(data / "tt" / "s3" / f"{NAMES[0]}.wav", np.ones(2400))
    done = command(*form, data / "tt")
    assert done.code == 2
    assert "m separates 2 sources, but" in done.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nother\n", "lists other"),
        ("id\n1\n", "column name"),
        ("id,name\n1,x\n2\n", "which"),  # a row that ends before its name
    ],
)
def test_a_list_of_mixtures_that_are_not_there(command, data, model, text, message):
    listed = data / "tt" / "some.csv"
    listed.write_text(text)
    done = command("eval", "--model", model, "--device", "cpu", "--data", listed)
    assert (done.code, done.out) == (1, "")
    assert message in done.err


def test_two_models(command, data, model, tmp_path_factory):
    import shutil

    other = tmp_path_factory.mktemp("models") / "copy"
    shutil.copytree(model, other)
    form = ("eval", "--data", data / "tt", "--device", "cpu", "--metrics", "si-sdr", "--json")
    result = json.loads(command(*form, "--compare", model, other).out)
    difference = result["comparison"]["difference"]["si_sdr"]
    assert (difference["mean"], difference["better"], difference["worse"]) == (0, 0, 0)
    assert (result["a"]["system"], result["b"]["system"]) == (str(model), str(other))
    assert result["a"]["summary"]["si_sdr_i"]["n"] == 3


def test_a_model_against_estimates_and_two_folders_on_prepared_mixtures(command, data, model):
    """`--compare` takes a model or a folder for each, with --data as with --ref."""
    form = ("eval", "--metrics", "si-sdr", "--json")
    sides = {"folder": data / "est", "model": model}
    for place in ("--data", "--ref"):
        for a, b in (("folder", "model"), ("model", "folder"), ("folder", "folder")):
            done = command(*form, place, data / "tt", "--compare", sides[a], sides[b])
            assert done.code == 0, done.err
            result = json.loads(done.out)
            assert result["comparison"]["examples"] == 3
            better = result["b"]["summary"]["si_sdr"]["mean"]
            assert (better > 5) == (b == "folder")
    done = command(*form, "--data", data / "tt", "--compare", data / "est", data / "other")
    assert done.code == 3
    assert "give a checkpoint folder or one of estimates" in done.err
    assert command(*form, "--data", data / "tt", "--est", data / "est").code == 0


def test_a_list_scores_each_mixture_once(command, data):
    listed = data / "tt" / "some.csv"
    listed.write_text(f"name\n{NAMES[2]}\n{NAMES[0]}\n{NAMES[2]}\n")
    done = command("eval", "--data", listed, "--est", data / "est", "--json")
    assert [entry["name"] for entry in json.loads(done.out)["per_example"]] == [NAMES[2], NAMES[0]]
    assert "lists mixtures more than once (1 rows): each is scored once" in done.err


def test_options_of_the_engine(command, data, model, monkeypatch):
    from cplxsep.engine.separator import Separator

    given = {}
    load = Separator.load
    monkeypatch.setattr(
        Separator, "load", classmethod(lambda _, m, **o: load(m, **(given.update(o) or o)))
    )
    more = ("--chunk", "0.2", "--overlap", "0.1", "--batch", "2", "--device", "cpu", "--shifts", 2)
    form = ("eval", "--data", data / "tt", "--metrics", "si-sdr")
    assert command(*form, "-m", model, *more).code == 0
    assert given == {"chunk": 0.2, "overlap": 0.1, "batch": "2", "device": "cpu", "shifts": 2}
    done = command(*form, "--est", data / "est", "--chunk", "4")
    assert (done.code, done.err.count("--est does not go with --chunk")) == (2, 1)


def test_pairs_of_the_same_and_of_different_sex(command, data, tmp_path):
    form = ("eval", "--data", data / "tt", "--est", data / "est", "--metrics", "si-sdr", "--json")
    speakers = tmp_path / "speakers.csv"
    speakers.write_text("speaker,sex\nanna,F\nbert,M\neva,female\n")
    rows = ("anna,eva", "bert,anna", "bert,unknown")
    lines = [f"{name},{pair}" for name, pair in zip(NAMES, rows, strict=True)]
    table = data / "tt" / "metadata.csv"
    table.write_text("\n".join(["name,source_1_speaker,source_2_speaker", *lines]))
    assert json.loads(command(*form).out)["by"] == {}
    groups = json.loads(command(*form, "--speakers", speakers).out)["by"]["sexes"]
    assert {label: group["si_sdr"]["n"] for label, group in groups.items()} == {
        "different": 1,
        "same": 1,
        "(none)": 1,
    }
    lines = [f"{name},{pair}" for name, pair in zip(NAMES, ("F,M", "M,M", "f,f"), strict=True)]
    table.write_text("\n".join(["name,s1_sex,s2_sex", *lines]))
    groups = json.loads(command(*form).out)["by"]["sexes"]
    assert {label: group["si_sdr"]["n"] for label, group in groups.items()} == {
        "different": 1,
        "same": 2,
    }
    speakers.write_text("name\nx\n")
    done = command(*form, "--speakers", speakers)
    assert (done.code, "needs columns speaker and sex" in done.err) == (1, True)
