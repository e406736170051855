"""Figures reach the model's folder whole, and only the table of its card changes."""

import json

import pytest
from card import cell, publish
from standins import tiny_model

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def test_figures_and_table(tmp_path):
    model = tiny_model(tmp_path / "model", licence="CC0", test={"old": 1})
    (model / "README.md").write_text(f"# Mine\n{BEGIN}\nold\n{END}\nAfter\n")
    publish(model, {"test": {"new": 2}}, ["a", "b"], [["1", "2"]])
    known = json.loads((model / "metrics.json").read_text())
    assert known["test"] == {"new": 2}
    assert known["licence"] == "CC0"
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert (model / "README.md").read_text() == f"# Mine\n{BEGIN}\n{table}\n{END}\nAfter\n"


def test_tables_of_one_card_do_not_touch_each_other(tmp_path):
    model = tiny_model(tmp_path / "model")
    text = "<!-- figures: begin -->\n<!-- figures: end -->\n"
    (model / "README.md").write_text(text + text.replace("figures", "conversations"))
    publish(model, {}, ["a"], [["1"]], "conversations")
    publish(model, {}, ["b"], [["2"]])
    lines = (model / "README.md").read_text().splitlines()
    assert [line for line in lines if "<" not in line and "---" not in line] == [
        *("| b |", "| 2 |", "| a |", "| 1 |"),
    ]


def test_a_card_without_a_place_for_the_table_is_left_as_it_is(tmp_path):
    model = tiny_model(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    with pytest.raises(SystemExit, match="figures: begin"):
        publish(model, {"test": 1}, ["a"], [["1"]])
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


def test_cells():
    assert cell({"mean": 1.234, "ci": [1.0, 2.0]}) == "1.23 (1.00 to 2.00)"
    assert cell({"mean": 1.234, "ci": None}, 1) == "1.2"
    assert cell({"mean": None, "ci": None}) == "-"
