"""Axes: round ticks that hold all values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cplxsep.report.html.plots import Axis, histogram

finite = st.floats(-1e4, 1e4)


@given(finite, finite, st.booleans())
def test_an_axis_holds_its_values(a, b, whole):
    low, high = sorted((a, b))
    axis = Axis(low, high, 0, 100, whole=whole)
    slack = 1e-6 * max(1.0, abs(low), abs(high))
    assert axis.low - slack <= low <= high <= axis.high + slack
    assert 2 <= len(axis.ticks()) <= 8
    assert axis(axis.low) == 0
    assert axis(axis.high) == 100


@pytest.mark.parametrize("high", [1, 3, 7, 100])
def test_counts_have_whole_ticks(high):
    assert all(tick == round(tick) for tick in Axis(0, high, 0, 1, ticks=3, whole=True).ticks())


@given(st.lists(finite, min_size=1, max_size=50))
def test_a_histogram_counts_every_value(values):
    drawn = histogram(values, sum(values) / len(values), "SDR dB")
    bars = [piece.partition("</title>")[0] for piece in drawn.split("<title>")[1:]]
    counts = [int(bar.rpartition(": ")[2].split()[0]) for bar in bars]
    assert sum(counts) == len(values)
