"""Paired differences of two systems."""

import numpy as np
import pytest

from cplxsep.errors import UsageError
from cplxsep.metrics.comparison import compare, rows
from cplxsep.metrics.evaluation import Scores, summed_up
from cplxsep.metrics.score import SourceScore
from cplxsep.metrics.statistics import Example, interval


def scores(values: dict[str, tuple[float | None, ...]], failed: tuple[str, ...] = ()) -> Scores:
    """SI-SDR by name and source; the condition is the first letter of the name."""
    examples = [
        Example(
            name,
            [SourceScore(j, j, {"si_sdr": value}) for j, value in enumerate(own)],
            {"room": name[0]},
        )
        for name, own in values.items()
    ]
    reasons = [{"name": name, "reason": "missing estimate"} for name in failed]
    return Scores(["si-sdr"], ["si_sdr"], examples, reasons, {"room": ["x", "y"]})


def test_the_difference_is_paired_by_file():
    rng = np.random.default_rng(0)
    names = [f"{'xy'[n % 2]}{n}" for n in range(40)]
    hard = rng.normal(5, 10, 40)
    better = rng.normal(0.5, 0.1, 40)
    a = scores({name: (h, h) for name, h in zip(names, hard, strict=True)})
    b = scores({name: (h + d,) * 2 for name, h, d in zip(names, hard, better, strict=True)})
    result = compare(a, b)
    found = result["difference"]["si_sdr"]
    assert found["mean"] == pytest.approx(better.mean())
    assert found["ci"] == pytest.approx(interval(better))
    # The files differ by 10 dB; that the interval is narrow is what pairing is for.
    assert found["ci"][1] - found["ci"][0] < 0.1
    assert found["mean_b"] - found["mean_a"] == pytest.approx(found["mean"])
    assert (found["n"], found["better"], found["worse"]) == (40, 40, 0)
    assert result["by"]["room"]["x"]["si_sdr"]["mean"] == pytest.approx(better[::2].mean())


def test_the_other_way_round_has_the_other_sign():
    a, b = scores({"x": (1.0, 2.0), "y": (3.0, 4.0)}), scores({"x": (2.0, 5.0), "y": (3.0, 1.0)})
    one, other = compare(a, b)["difference"]["si_sdr"], compare(b, a)["difference"]["si_sdr"]
    assert one["mean"] == pytest.approx(-other["mean"])
    assert (one["better"], one["worse"]) == (other["worse"], other["better"]) == (1, 1)


def test_only_files_that_both_have_count():
    a = scores({"x1": (1.0, 2.0), "x2": (0.0, 0.0)}, failed=("x3", "x4"))
    b = scores({"x1": (2.0, 3.0), "x3": (9.0, 9.0)}, failed=("x2", "x4"))
    result = compare(a, b)
    assert (result["examples"], result["only_a"], result["only_b"]) == (1, ["x2"], ["x3"])
    assert result["difference"]["si_sdr"]["mean"] == pytest.approx(1)
    sides = {"a": summed_up(a), "b": summed_up(b)}
    columns, table = rows({"comparison": result, **sides})
    assert columns == ["name", "room", "si_sdr_a", "si_sdr_b", "si_sdr_difference", "reason"]
    assert {row["name"]: row.get("reason", "") for row in table} == {
        "x1": "",
        "x2": "b: missing estimate",
        "x3": "a: missing estimate",
        "x4": "a: missing estimate; b: missing estimate",
    }


def test_only_sources_that_both_have_count():
    result = compare(scores({"x": (1.0, None)}), scores({"x": (3.0, 50.0)}))
    found = result["difference"]["si_sdr"]
    assert (found["mean"], found["mean_b"], found["null"]) == (2.0, 3.0, 1)
    nothing = compare(scores({"x": (None,)}), scores({"x": (1.0,)}))["difference"]["si_sdr"]
    assert (nothing["mean"], nothing["mean_a"], nothing["n"]) == (None, None, 0)


def test_thresholds_are_for_the_difference():
    a, b = scores({"x": (1.0,)}), scores({"x": (0.5,)})
    assert compare(a, b, fail_under={"si_sdr": -1})["missed"] == []
    assert [miss["mean"] for miss in compare(a, b, fail_under={"si_sdr": -0.1})["missed"]] == [-0.5]
    with pytest.raises(UsageError, match="sdr: not computed"):
        compare(a, b, fail_under={"sdr": 0})
