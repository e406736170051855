"""Means over files, bootstrap intervals, groups, and counts of missing values."""

import numpy as np
import pytest

from cplxsep.metrics.score import SourceScore
from cplxsep.metrics.statistics import Example, by_group, interval, of_score, reasons, worst


def example(name: str, *values: float | None, room: str = "") -> Example:
    sources = [
        SourceScore(j, j, {"sdr": value}, {} if value is not None else {"sdr": "silent estimate"})
        for j, value in enumerate(values)
    ]
    return Example(name, sources, {"room": room})


def test_the_interval_is_that_of_the_normal_distribution_for_many_values():
    values = np.random.default_rng(0).normal(5, 2, 400)
    low, high = interval(values, 95)
    half = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)


def test_the_interval_is_the_same_each_time_and_wider_for_more_confidence():
    values = np.random.default_rng(1).normal(0, 1, 50)
    assert interval(values, 95) == interval(values, 95)
    (low, high), (lower, higher) = interval(values, 80), interval(values, 99)
    assert lower < low < high < higher


def test_the_interval_moves_with_the_values():
    values = np.random.default_rng(2).normal(0, 1, 30)
    np.testing.assert_allclose(interval(values + 7), np.array(interval(values)) + 7)


def test_one_value_has_no_interval():
    assert interval([3.0]) is None
    assert interval([]) is None
    assert interval([3.0, 3.0]) == (3.0, 3.0)


def test_a_file_counts_once_and_is_the_mean_of_its_sources():
    result = of_score([example("a", 1.0, 3.0), example("b", 8.0, None)], "sdr")
    assert result["mean"] == pytest.approx(5.0)
    assert result["median"] == pytest.approx(5.0)
    assert (result["n"], result["null"]) == (2, 1)


def test_nothing_to_average():
    result = of_score([example("a", None, None)], "sdr")
    assert result == {"mean": None, "median": None, "ci": None, "n": 0, "null": 2}
    assert of_score([], "sdr")["mean"] is None


def test_groups_in_the_given_order():
    files = [example("a", 1.0, room="x"), example("b", 3.0, room="y"), example("c", 5.0, room="y")]
    result = by_group(files, {"room": ["y", "x", "z"]}, lambda group: of_score(group, "sdr"))
    assert [(name, group["mean"]) for name, group in result["room"].items()] == [("y", 4), ("x", 1)]


def test_the_worst_files():
    files = [example(f"f{n:02}", float(n % 7), None) for n in range(20)] + [example("none", None)]
    found = worst(files, "sdr")
    assert [entry["name"] for entry in found[:4]] == ["f00", "f07", "f14", "f01"]
    assert (len(found), found[-1]["sdr"]) == (10, 3.0)
    assert worst(files[:3], "sdr", 10) == worst(files[:3][::-1], "sdr", 10)


def test_reasons_are_counted():
    assert reasons([example("a", None, 2.0), example("b", None)]) == {"sdr": {"silent estimate": 2}}
    assert reasons([example("a", 1.0)]) == {}
