"""Conditions from a column of the metadata."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cplxsep.metrics.conditions import DISTINCT, UNGROUPED, Column, labels, order


def test_text_stands_for_itself():
    assert labels(["fm", "ff", None, " ", "fm "]) == ["fm", "ff", UNGROUPED, UNGROUPED, "fm"]
    assert order(["room10", UNGROUPED, "room2", "fm"]) == ["fm", "room2", "room10", UNGROUPED]


def test_a_few_numbers_stand_for_themselves():
    assert labels(["10", "0", "-5", "10"]) == ["10", "0", "-5", "10"]
    assert order(["10", "0", "-5"]) == ["-5", "0", "10"]


def test_many_numbers_are_put_into_bins():
    values = [f"{value:.2f}" for value in np.linspace(-5, 5, 101)]
    found = labels(values)
    assert order(found)[0] == "-6 to -4"
    assert found[0] == "-6 to -4"
    assert found[50] == "0 to 2"  # the lower bound belongs to the bin
    assert order(found) == ["-6 to -4", "-4 to -2", "-2 to 0", "0 to 2", "2 to 4", "4 to 6"]


def test_the_width_can_be_given():
    found = labels(["0", "2.4", "2.5", "5", ""], 2.5)
    assert found == ["0 to 2.5", "0 to 2.5", "2.5 to 5", "2.5 to 5", UNGROUPED]


def test_a_decimal_lies_in_its_own_bin():
    # 0.3 / 0.1 and 0.7 / 0.1 are a little below 3 and 7 in floats.
    found = labels(["0", "0.3", "0.6", "0.7", "1"], 0.1)
    assert found == ["0 to 0.1", "0.3 to 0.4", "0.6 to 0.7", "0.7 to 0.8", "0.9 to 1"]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_a_bin_holds_its_numbers(values):
    found = labels([repr(value) for value in values])
    assert len(set(found)) <= DISTINCT + 1
    for value, label in zip(values, found, strict=True):
        low, _, high = label.partition(" to ")
        slack = 1e-5 * max(abs(float(low)), abs(float(high or low)), 1e-300)
        assert float(low) - slack <= value <= float(high or low) + slack


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snr", Column("snr")),
        ("snr:2.5", Column("snr", 2.5)),
        ("a:5", Column("a:5")),
        ("snr:wide", Column("snr:wide")),
        ("snr:-1", Column("snr:-1")),
        (":3", Column(":3")),
    ],
)
def test_columns(text, expected):
    assert Column.parse(text, ["snr", "a:5"]) == expected


def test_bins_too_narrow_for_their_numbers():
    """Regression: an OverflowError."""
    assert labels(["1", "", "2"], 1e-320) == ["1", "(none)", "2"]
    assert labels(["1e308", "-1e308", "0"], 0.1) == ["1e308", "-1e308", "0"]
    for texts in (
        [f"{number}e-323" for number in range(1, 11)],
        [f"{number}e307" for number in range(-9, 9)],
    ):
        assert len(labels(texts)) == len(texts)
