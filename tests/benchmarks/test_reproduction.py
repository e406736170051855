"""The reproduction script from mixtures to the page, at a scale of seconds; and its verdicts."""

import json
import sys

import pytest
import reproduction
from reproduction_report import judged, verdict
from reproduction_rows import CLAIMS, QUESTIONS, ROWS, Claim, settings
from synthetic import make_manifest

from cplxsep.config import parse_config
from cplxsep.networks.model import SeparationModel

TINY = ["model.start_maps=4", "model.levels=1", "model.residual_blocks=0", "train.batch=2"]
TINY += ["data.seconds=0.5", "data.valid_seconds=0.5", "data.valid_mixtures=2", "train.steps=2"]


def test_a_row_from_speech_to_the_page_and_not_twice(tmp_path, monkeypatch, capfd):
    speech = make_manifest(tmp_path / "speech")
    arguments = ["--speech", speech, "--work", tmp_path / "work", "--out", tmp_path / "out"]
    arguments += ["--hours", 0.001, "--count", 2, "--rows", "c0", "--device", "cpu"]
    arguments += ["--scale", "cpu"]
    for change in (*TINY, "train.compile=false"):
        arguments += ["--set", change]
    monkeypatch.setattr(sys, "argv", ["reproduction.py", *map(str, arguments)])
    reproduction.main()
    text = (tmp_path / "out" / "reproduction.json").read_text()
    assert str(tmp_path) not in text
    result = json.loads(text)
    assert result["rows"]["c0"]["summary"]["sdr"]["n"] == 2
    assert [claim["is"] for claim in result["claims"]] == ["not measured"] * len(CLAIMS)
    page = (tmp_path / "out" / "reproduction.md").read_text()
    assert "| c0 | " in page
    assert "9.87" in page
    monkeypatch.setattr(reproduction, "train", None)
    capfd.readouterr()
    reproduction.main()  # nothing is trained again
    assert "c0: SDR " in capfd.readouterr().out


@pytest.mark.parametrize("scale", ["cpu", "gpu"])
def test_rows_are_valid_and_differ_in_what_they_test_alone(scale):
    configs = {row.name: parse_config(settings(row, scale, 2.0, 0), row.name) for row in ROWS}
    names = {name for claim in (*CLAIMS, *QUESTIONS) for name in (*claim.better, *claim.worse)}
    assert names <= configs.keys()
    first = configs["c0"]
    for config in configs.values():
        assert (config.data, config.optim) == (first.data, first.optim)
        loss = {"loss": "csim-code", "csim_imag": first.train.csim_imag}
        assert config.train.model_copy(update=loss) == first.train


@pytest.mark.parametrize("scale", ["cpu", "gpu"])
def test_a_probe_is_shorter_than_its_run(scale):
    """Regression: on a GPU it ended before the second line of the log, which was an error."""
    hours = reproduction.PROBE_HOURS
    for row in ROWS:
        steps = settings(row, scale, hours, 0)["train"]["steps"]
        assert steps >= reproduction.PROBE_STEPS


def test_real_and_complex_have_equal_parameters():
    def count(name):
        row = next(row for row in ROWS if row.name == name)
        config = parse_config(settings(row, "cpu", 1.0, 0), name)
        return sum(parameter.numel() for parameter in SeparationModel(config.model).parameters())

    assert count("real") == pytest.approx(count("c0-l2-freq"), rel=0.07)
    assert count("conv-tasnet") == pytest.approx(count("c0-l2-freq"), rel=0.07)


def row(*scores):
    return {"files": {str(index): score for index, score in enumerate(scores)}}


def test_verdicts_follow_the_interval_of_the_differences():
    """Paired: each mixture is 1 dB better, though they differ among themselves by 40."""
    rows = {"a": row(*range(0, 40)), "b": row(*(score - 1 for score in range(0, 40)))}
    assert judged(Claim("a > b", ("a",), ("b",)), rows)["is"] == "holds"
    assert judged(Claim("b > a", ("b",), ("a",)), rows)["is"] == "the opposite holds"
    both = judged(Claim("both", ("a", "b"), ("b", "a")), rows)
    assert both["is"] == "in part: holds, the opposite holds"
    assert judged(Claim("c > a", ("c",), ("a",)), rows)["is"] == "not measured"
    assert verdict({"ci": [-0.1, 0.3]}) == "undecided"
