"""Many examples: failures, groups, thresholds, and rows for a table."""

import numpy as np
import pytest

from cplxsep.errors import InputError, UsageError
from cplxsep.metrics.evaluation import evaluate, rows
from cplxsep.metrics.sisdr import si_sdr

CONDITIONS = {"good": "a", "better": "a", "quiet": "b"}


class Synthetic:
    """Four examples in two conditions; `broken` cannot be loaded, `quiet` has a silent estimate."""

    names = ("good", "better", "quiet", "broken")

    def __init__(self, has_mixture: bool = True) -> None:
        self.has_mixture = has_mixture

    def load(self, name: str):
        if name == "broken":
            raise InputError("broken.wav is empty")
        rng = np.random.default_rng(self.names.index(name))
        references, noise = rng.standard_normal((2, 2, 800))
        estimates = references + noise * {"good": 0.5, "better": 0.1, "quiet": 0.5}[name]
        if name == "quiet":
            estimates[0] = 0
        return references.sum(0) if self.has_mixture else None, references, estimates, 8000

    def metadata(self, name: str) -> dict[str, str]:
        return {"condition": CONDITIONS.get(name, ""), "talker": name}


def run(metrics=("si-sdr",), cases=None, **options):
    cases = cases or Synthetic()
    return evaluate(cases, cases.names, metrics, **options)


def test_every_example_is_scored_or_failed():
    told: list[InputError] = []
    result = run(tell=told.append)
    assert result["examples"] == 3
    assert result["failed"] == [{"name": "broken", "reason": "broken.wav is empty"}]
    assert [str(error) for error in told] == ["broken.wav is empty"]
    assert [entry["name"] for entry in result["per_example"]] == ["good", "better", "quiet"]
    assert result["null"] == {
        "si_sdr": {"silent estimate": 1},
        "si_sdr_i": {"silent estimate": 1},
    }


def test_the_summary_is_of_the_examples():
    result = run()
    _, references, estimates, _ = Synthetic().load("good")
    (entry,) = (entry for entry in result["per_example"] if entry["name"] == "good")
    values = [source["si_sdr"] for source in entry["sources"]]
    np.testing.assert_allclose(values, si_sdr(references, estimates), atol=1e-9)
    means = [
        np.mean([s["si_sdr"] for s in entry["sources"] if s["si_sdr"] is not None])
        for entry in result["per_example"]
    ]
    assert result["summary"]["all"]["si_sdr"]["mean"] == pytest.approx(np.mean(means))
    assert result["summary"]["a"]["si_sdr"]["mean"] == pytest.approx(np.mean(means[:2]))
    assert result["summary"]["b"]["si_sdr"]["n"] == 1


def test_groups_by_any_column():
    assert list(run()["summary"]) == ["all", "a", "b"]
    assert list(run(group_by="talker")["summary"]) == ["all", "better", "good", "quiet"]
    with pytest.raises(UsageError, match="its columns are condition, talker"):
        run(group_by="weather")


def test_thresholds():
    result = run(fail_under={"si_sdr": 5, "si_sdr_i": 90})
    assert [(miss["metric"], miss["least"]) for miss in result["missed"]] == [("si_sdr_i", 90)]
    with pytest.raises(UsageError, match="only si_sdr, si_sdr_i"):
        run(fail_under={"sdr": 5})
    with pytest.raises(UsageError, match="si_sdr_i"):
        run(cases=Synthetic(has_mixture=False), fail_under={"si_sdr_i": 5})


def test_a_threshold_without_any_value_is_missed():
    cases = Synthetic()
    result = evaluate(cases, ["broken"], ["si-sdr"], fail_under={"si_sdr": -50})
    assert result["missed"] == [{"metric": "si_sdr", "mean": None, "least": -50}]


def test_rows_for_a_table():
    columns, table = rows(run())
    assert columns == ["name", "group", "source", "estimate", "si_sdr", "si_sdr_i", "reason"]
    assert len(table) == 7
    assert table[4]["reason"] == "si_sdr: silent estimate; si_sdr_i: silent estimate"
    assert table[-1] == {"name": "broken", "reason": "broken.wav is empty"}
    assert all(set(row) <= set(columns) for row in table)
