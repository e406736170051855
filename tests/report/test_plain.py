"""Tables, JSON, CSV and exit codes."""

import csv
import json
from pathlib import Path

import pytest

from cplxsep import report
from cplxsep.errors import InputError


def test_a_table_aligns_and_is_never_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    long = "a name [with brackets] " * 10
    text = report.table(["name", "value"], [[long, 1.234], ["b", None], ["c", 10.0]])
    lines = text.splitlines()
    assert lines[0].split() == ["name", "value"]
    assert lines[1].startswith(long)
    assert lines[1].endswith(" 1.23")
    assert [line.split()[-1] for line in lines[2:]] == ["-", "10.00"]
    assert len({len(line) for line in lines}) == 1


def test_a_table_without_rows():
    assert report.table(["a", "b"], []).split() == ["a", "b"]


def test_json_is_strict():
    assert json.loads(report.to_json({"a": [1.5, None], "b": Path("x")})) == {
        "a": [1.5, None],
        "b": "x",
    }
    with pytest.raises(ValueError, match="JSON"):
        report.to_json({"a": float("nan")})


def test_csv(tmp_path):
    path = tmp_path / "scores.csv"
    report.write_csv(path, ["name", "sdr"], [{"name": "a, b", "sdr": None}, {"name": "c"}])
    with path.open(newline="") as file:
        assert list(csv.DictReader(file)) == [{"name": "a, b", "sdr": ""}, {"name": "c", "sdr": ""}]


def test_csv_keeps_names_that_are_no_valid_text(tmp_path):
    report.write_csv(tmp_path / "a.csv", ["name"], [{"name": "\udcff"}])
    assert (tmp_path / "a.csv").read_bytes() == b"name\n\xff\n"


def test_a_table_makes_no_pictures():
    assert "rec:100:a.wav" in report.table(["name"], [["rec:100:a.wav"]])


def test_csv_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("before")
    with pytest.raises(ValueError, match="fields"):
        report.write_csv(path, ["name"], [{"name": "a"}, {"other": "b"}])
    assert path.read_text() == "before"
    with pytest.raises(InputError, match="cannot write"):
        report.write_csv(tmp_path / "missing" / "scores.csv", ["name"], [])
    assert [item.name for item in tmp_path.iterdir()] == ["scores.csv"]


def test_exit_codes():
    assert report.exit_code([]) == 0
    assert report.exit_code([{"name": "a"}]) == 1
    assert report.exit_code([], ["sdr"]) == 1
