"""Many examples: failures, groups, thresholds, and rows for a table."""

import numpy as np
import pytest

from cplxsep.errors import InputError, UsageError
from cplxsep.metrics import evaluation
from cplxsep.metrics.evaluation import rows, summed_up
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
    own = {name: options.pop(name) for name in ("ci", "fail_under") if name in options}
    return summed_up(evaluation.run(cases, cases.names, metrics, **options), **own)


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
    assert result["summary"]["si_sdr"]["mean"] == pytest.approx(np.mean(means))
    assert result["by"]["condition"]["a"]["si_sdr"]["mean"] == pytest.approx(np.mean(means[:2]))
    assert result["by"]["condition"]["b"]["si_sdr"]["n"] == 1


def test_groups_by_any_column():
    assert {name: list(groups) for name, groups in run()["by"].items()} == {"condition": ["a", "b"]}
    result = run(by=["talker", "condition"])
    assert list(result["by"]) == ["talker", "condition"]
    assert list(result["by"]["talker"]) == ["better", "good", "quiet"]
    assert result["per_example"][0]["groups"] == {"talker": "good", "condition": "a"}
    with pytest.raises(UsageError, match="its columns are condition, talker"):
        run(by=["weather"])


def test_a_row_longer_than_the_metadata_has_columns():
    class Longer(Synthetic):
        def metadata(self, name):
            return super().metadata(name) | {None: ["more"]}

    with pytest.raises(UsageError, match="its columns are condition, talker"):
        run(cases=Longer(), by=["weather"])


def test_thresholds():
    result = run(fail_under={"si_sdr": 5, "si_sdr_i": 90})
    assert [(miss["metric"], miss["least"]) for miss in result["missed"]] == [("si_sdr_i", 90)]
    with pytest.raises(UsageError, match="only si-sdr, si-sdr-i"):
        run(fail_under={"sdr": 5})
    with pytest.raises(UsageError, match="si-sdr-i"):
        run(cases=Synthetic(has_mixture=False), fail_under={"si_sdr_i": 5})


def test_a_threshold_without_any_value_is_missed():
    cases = Synthetic()
    result = summed_up(evaluation.run(cases, ["broken"], ["si-sdr"]), fail_under={"si_sdr": -50})
    assert result["missed"] == [{"metric": "si_sdr", "mean": None, "least": -50}]


def test_rows_for_a_table():
    columns, table = rows(run())
    assert columns == ["name", "condition", "source", "estimate", "si_sdr", "si_sdr_i", "reason"]
    assert len(table) == 7
    assert table[4]["reason"] == "si_sdr: silent estimate; si_sdr_i: silent estimate"
    assert table[-1] == {"name": "broken", "reason": "broken.wav is empty"}
    assert all(set(row) <= set(columns) for row in table)


def test_the_worst_files_are_by_the_improvement_where_there_is_one():
    worst = run()["worst"]
    assert worst["by"] == "si_sdr_i"
    names = [entry["name"] for entry in worst["examples"]]
    assert (sorted(names), names[-1]) == (["better", "good", "quiet"], "better")
    values = [entry["si_sdr_i"] for entry in worst["examples"]]
    assert values == sorted(values)
    assert worst["examples"][-1]["groups"] == {"condition": "a"}
    assert run(cases=Synthetic(has_mixture=False))["worst"]["by"] == "si_sdr"


def test_a_column_named_like_ours_keeps_both():
    class Named(Synthetic):
        def metadata(self, name):
            return {"source": f"studio of {name}"}

    columns, table = rows(run(cases=Named(), by=["source"]))
    assert columns[:3] == ["name", "source (metadata)", "source"]
    assert (table[0]["source"], table[0]["source (metadata)"]) == ("s1", "studio of good")


def test_processes_give_what_one_gives():
    cases = Synthetic()
    one, two = (run(("sdr", "si-sdr"), cases, workers=workers) for workers in (1, 2))
    for key, value in one["summary"].items():
        assert two["summary"][key]["ci"] == pytest.approx(value["ci"], abs=1e-9)
        assert two["summary"][key]["n"] == value["n"] == 3
    assert one["failed"] == two["failed"]
    assert [e["name"] for e in one["per_example"]] == [e["name"] for e in two["per_example"]]


def test_an_example_of_another_rate_is_refused():
    class Mixed(Synthetic):
        def load(self, name):
            mixture, references, estimates, rate = super().load(name)
            return mixture, references, estimates, 16000 if name == "better" else rate

    result = run(cases=Mixed())
    assert [entry["name"] for entry in result["failed"]] == ["better", "broken"]
    assert "better has 16000 Hz but good has 8000 Hz" in result["failed"][0]["reason"]
