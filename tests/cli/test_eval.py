"""`cplxsep eval` as a user runs it, on files of references and estimates."""

import csv
import json
import wave
from pathlib import Path

import numpy as np
import pytest

from cplxsep.audio import io
from cplxsep.metrics.bss import bss_eval
from cplxsep.metrics.sisdr import si_sdr

RATE = 8000
NAMES = ("a_1.0_b_-1.0", "c_0.0_d_0.0", "e_2.0_f_-2.0")


def put(path: Path, audio: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    io.write(path, audio.astype(np.float32), rate)


def signals(name: str) -> tuple[np.ndarray, np.ndarray]:
    """References (2, S) and estimates (2, S), the estimates in the other order."""
    rng = np.random.default_rng(NAMES.index(name))
    references = 0.1 * rng.standard_normal((2, 2400))
    noise = 0.03 * rng.standard_normal((2, 2400))
    return references, (references + 0.1 * references[::-1] + noise)[::-1]


@pytest.fixture
def data(tmp_path) -> Path:
    """A prepared split and estimates for it: tt/{mix,s1,s2}, metadata.csv, est/{s1,s2}."""
    for name in NAMES:
        references, estimates = signals(name)
        put(tmp_path / "tt" / "mix" / f"{name}.wav", references.sum(axis=0))
        for j in (0, 1):
            put(tmp_path / "tt" / f"s{j + 1}" / f"{name}.wav", references[j])
            put(tmp_path / "est" / f"s{j + 1}" / f"{name}.wav", estimates[j])
    rows = [
        "name,condition,room",
        f"{NAMES[0]},clean,x",
        f"{NAMES[1]},clean,y",
        f"{NAMES[2]},far,y",
    ]
    (tmp_path / "tt" / "metadata.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def arguments(data: Path, *more: object, metrics: str = "si-sdr") -> list[object]:
    return ["eval", "--ref", data / "tt", "--est", data / "est", "--metrics", metrics, *more]


def error_lines(done) -> list[str]:
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def test_json_and_csv_hold_every_score(run_cli, data):
    target = data / "new" / "scores.csv"
    done = run_cli(*arguments(data, "--json", "--csv", target, metrics="sdr,sir,sar,si-sdr"))
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["command"], result["examples"], result["failed"]) == ("eval", 3, [])
    assert set(result["summary"]) == {"all", "clean", "far"}
    assert result["summary"]["clean"]["sdr"]["n"] == 2
    for entry in result["per_example"]:
        references, estimates = signals(entry["name"])
        bss, plain = bss_eval(references, estimates), si_sdr(references, estimates[::-1])
        mixture = si_sdr(references, references.sum(axis=0))
        for j, source in enumerate(entry["sources"]):
            assert (source["source"], source["estimate"]) == (f"s{j + 1}", f"s{2 - j}")
            for key in ("sdr", "sir", "sar"):
                assert source[key] == pytest.approx(getattr(bss, key)[j], abs=1e-3)
            assert source["si_sdr"] == pytest.approx(plain[j], abs=1e-3)
            assert source["si_sdr_i"] == pytest.approx(plain[j] - mixture[j], abs=1e-3)
    summary = result["summary"]["all"]["si_sdr_i"]
    low, high = summary["ci"]
    assert low < summary["mean"] < high
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [name for name in NAMES for _ in range(2)]
    assert float(rows[0]["sar"]) == result["per_example"][0]["sources"][0]["sar"]


def test_the_table_and_thresholds(run_cli, data):
    done = run_cli(*arguments(data, "--group-by", "room", "--fail-under", "si-sdr-i=50"))
    assert done.returncode == 1
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0][:3] == ["group", "score", "mean"]
    assert [line[0] for line in lines[1:]] == ["all", "all", "x", "x", "y", "y"]
    (line,) = error_lines(done)
    assert "si_sdr_i" in line
    assert "50" in line
    reached = run_cli(*arguments(data, "--fail-under", "si-sdr=1", "--limit", 1))
    assert (reached.returncode, error_lines(reached)) == (0, [])


def test_flat_estimates_and_missing_ones(run_cli, data):
    for name in NAMES[:2]:
        for j in (1, 2):
            target = data / "flat" / f"{name}_s{j}.wav"
            target.parent.mkdir(exist_ok=True)
            (data / "est" / f"s{j}" / f"{name}.wav").rename(target)
    done = run_cli(
        "eval", "--ref", data / "tt", "--est", data / "flat", "--metrics", "si-sdr", "--json"
    )
    assert done.returncode == 1
    (line,) = error_lines(done)
    assert f"{NAMES[2]}_s1.wav" in line
    result = json.loads(done.stdout)
    assert result["examples"] == 2
    assert [failure["name"] for failure in result["failed"]] == [NAMES[2]]


def test_bad_files_fail_alone(run_cli, data):
    broken = data / "est" / "s2" / f"{NAMES[0]}.wav"
    with wave.open(str(broken), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.zeros(2300, np.int16).tobytes())
    (data / "tt" / "s1" / f"{NAMES[1]}.wav").unlink()
    done = run_cli(*arguments(data, "--csv", data / "scores.csv"))
    assert done.returncode == 1
    short, missing = error_lines(done)
    assert str(broken) in short
    assert str(data / "tt" / "s1" / f"{NAMES[0]}.wav") in short
    assert "missing reference" in missing
    assert "2 of 3 examples failed" in done.stdout
    with (data / "scores.csv").open(newline="") as file:
        assert sum(bool(row["reason"]) for row in csv.DictReader(file)) == 2


def test_silence_is_counted_and_nan_fails(run_cli, data):
    put(data / "est" / "s1" / f"{NAMES[0]}.wav", np.zeros(2400))
    samples = signals(NAMES[1])[1][0].copy()
    samples[5] = np.nan
    put(data / "est" / "s1" / f"{NAMES[1]}.wav", samples)
    done = run_cli(*arguments(data, "--json"))
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["null"]["si_sdr"] == {"silent estimate": 1}
    assert result["summary"]["all"]["si_sdr"]["null"] == 1
    (failure,) = result["failed"]
    assert failure["name"] == NAMES[1]
    assert "NaN" in failure["reason"]


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--metrics", "sdr,loudness"], 2, "loudness"),
        (["--fail-under", "sdr"], 2, "--fail-under sdr"),
        (["--fail-under", "sir=3"], 2, "not computed"),
        (["--group-by", "weather"], 2, "condition, room"),
        (["--device", "cpu"], 2, "--device"),
        (["--csv", "."], 1, "folder"),
        (["--est", "nowhere"], 1, "nowhere"),
    ],
)
def test_bad_arguments(run_cli, data, more, code, text):
    done = run_cli(*arguments(data, *more), cwd=data)
    (line,) = error_lines(done)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in line


def test_neither_form_whole(run_cli, tmp_path):
    for given in ([], ["--ref", tmp_path], ["--model", "m"]):
        done = run_cli("eval", *given)
        assert done.returncode == 2
        assert "--model and --data, or --ref and --est" in error_lines(done)[0]


def test_an_empty_folder(run_cli, tmp_path):
    done = run_cli("eval", "--ref", tmp_path, "--est", tmp_path)
    assert done.returncode == 1
    assert "no sub-folder s1" in error_lines(done)[0]


def test_missing_perceptual_package(run_cli, data):
    try:
        import pesq  # noqa: F401
    except ImportError:
        done = run_cli(*arguments(data, metrics="pesq"))
        assert done.returncode == 2
        assert "cplxsep[perceptual]" in error_lines(done)[0]
    else:
        pytest.skip("pesq is installed")


@pytest.mark.parametrize("target", ["tt/metadata.csv", "tt/s1/new.wav", "link/a.csv", "est/a.csv"])
def test_the_csv_does_not_replace_files_that_are_scored(command, data, target):
    (data / "link").symlink_to(data / "tt" / "mix")
    before = (data / "tt" / "metadata.csv").read_bytes()
    done = command(*arguments(data, "--csv", data / target))
    assert (done.code, done.out) == (2, "")
    assert "lies among the inputs" in done.err
    assert (data / "tt" / "metadata.csv").read_bytes() == before


@pytest.mark.parametrize("given", [".", "tt", "tt/metadata.csv", "tt/some.csv"])
@pytest.mark.parametrize("target", ["tt/metadata.csv", "tt/mix/a.wav", "tt/preparation.json"])
def test_the_csv_does_not_replace_prepared_mixtures(command, data, given, target):
    # Refused before the model, which is not there, is missed.
    done = command("eval", "--model", "m", "--data", data / given, "--csv", data / target)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "lies among the inputs" in done.err


def test_the_csv_does_not_replace_the_list_of_mixtures(command, data):
    listed = data / "tt" / "some.csv"
    listed.write_text(f"name\n{NAMES[0]}\n")
    assert command("eval", "--model", "m", "--data", listed, "--csv", listed).code == 2


@pytest.mark.parametrize("metadata", [None, "id,condition\n1,far\n"])
def test_references_of_any_corpus(command, data, metadata):
    """FLAC files, side files of another program, and a metadata.csv of another kind."""
    for folder in ("mix", "s1", "s2"):
        for name in NAMES:
            source = data / "tt" / folder / f"{name}.wav"
            put(source.with_name(f"{name}.flac"), io.read(source)[0][0])
            source.unlink()
        (data / "tt" / folder / f"._{NAMES[0]}.flac").write_text("no audio")
    if metadata:
        (data / "tt" / "metadata.csv").write_text(metadata)
    done = command(*arguments(data, "--json"))
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["examples"], result["failed"]) == (3, [])
    assert set(result["summary"]) == ({"all"} if metadata else {"all", "clean", "far"})
    assert ("no column name" in done.err) == bool(metadata)


def test_a_model_on_the_command_line(command, data, model):
    from cplxsep.engine.separator import Separator

    form = ("eval", "--model", model, "--device", "cpu", "--metrics", "si-sdr")
    done = command(*form, "--data", data, "--split", "tt", "--json", "--csv", data / "a.csv")
    assert (done.code, done.err) == (0, "")
    result = json.loads(done.out)
    assert (result["examples"], set(result["summary"])) == (3, {"all", "clean", "far"})
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


def test_a_model_on_a_prepared_split(data, monkeypatch):
    from standins import Stand, copies

    from cplxsep.cli.evaluate import ModelCases
    from cplxsep.engine.separator import Separator
    from cplxsep.errors import UsageError
    from cplxsep.metrics.evaluation import evaluate

    monkeypatch.setattr(
        Separator, "load", classmethod(lambda cls, _model, **options: cls(Stand(copies), **options))
    )
    for where, split in ((data, "tt"), (data / "tt", None)):
        assert len(ModelCases("m", where, split, "cpu", "fp32").names) == len(NAMES)
    (data / "tt" / "some.csv").write_text(f"name\n{NAMES[2]}\n")
    cases = ModelCases("m", data / "tt" / "some.csv", None, "cpu", "fp32")
    assert cases.names == [NAMES[2]]
    result = evaluate(cases, cases.names, ["si-sdr"])
    assert result["summary"]["far"]["si_sdr_i"]["mean"] == pytest.approx(0, abs=1e-4)
    put(data / "tt" / "s3" / f"{NAMES[0]}.wav", np.ones(2400))
    with pytest.raises(UsageError, match=r"separates 2 sources, but .* has 3"):
        ModelCases("m", data / "tt", None, "cpu", "fp32")


def test_a_list_of_mixtures_that_are_not_there(data):
    from cplxsep.cli.evaluate import ModelCases
    from cplxsep.errors import InputError

    listed = data / "tt" / "some.csv"
    for text, message in (("name\nother\n", "lists other"), ("id\n1\n", "column name")):
        listed.write_text(text)
        with pytest.raises(InputError, match=message):
            ModelCases("m", listed, None, "cpu", "fp32")
