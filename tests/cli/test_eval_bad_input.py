"""What `cplxsep eval` says of bad input and bad arguments."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from process_groups import ends
from scored import NAMES, arguments, error_lines, make, put, signals

from cplxsep.audio import io


@pytest.fixture
def data(tmp_path) -> Path:
    return make(tmp_path)


def test_silence_is_counted_and_nan_fails(run_cli, data):
    put(data / "est" / "s1" / f"{NAMES[0]}.wav", np.zeros(2400))
    samples = signals(NAMES[1])[1][0].copy()
    samples[5] = np.nan
    put(data / "est" / "s1" / f"{NAMES[1]}.wav", samples)
    done = run_cli(*arguments(data, "--json"))
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["null"]["si_sdr"] == {"silent estimate": 1}
    assert result["summary"]["si_sdr"]["null"] == 1
    (failure,) = result["failed"]
    assert failure["name"] == NAMES[1]
    assert "NaN" in failure["reason"]


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--metrics", "sdr,loudness"], 2, "loudness"),
        (["--fail-under", "sdr"], 2, "--fail-under sdr"),
        (["--fail-under", "sir=3"], 2, "not computed"),
        (["--by", "weather"], 2, "condition, room"),
        (["--html", "tt/page.html"], 2, "--html tt/page.html lies among"),
        (["--metadata", "nowhere.csv"], 1, "nowhere.csv"),
        (["--compare", "a", "b"], 2, "--compare does not go with --est"),
        (["--device", "cpu"], 2, "--device"),
        (["--csv", "."], 1, "folder"),
        (["--est", "nowhere"], 1, "nowhere"),
    ],
)
def test_bad_arguments(command, data, monkeypatch, more, code, text):
    monkeypatch.chdir(data)
    done = command(*arguments(data, *more))
    (line,) = done.err.splitlines()
    assert (done.code, done.out) == (code, "")
    assert line.startswith("error: ")
    assert text in line


def test_neither_form_whole(command, tmp_path):
    for given in ([], ["--ref", tmp_path], ["--model", "m"]):
        done = command("eval", *given)
        assert done.code == 2
        (line,) = done.err.splitlines()
        assert line.startswith("error: ")
        assert "--model and --data, or --ref and --est" in line


def test_an_empty_folder(run_cli, tmp_path):
    done = run_cli("eval", "--ref", tmp_path, "--est", tmp_path)
    assert done.returncode == 1
    assert "no sub-folder s1" in error_lines(done)[0]


@pytest.mark.parametrize(("metric", "package"), [("pesq-wb", "pesq"), ("stoi", "pystoi")])
def test_missing_perceptual_package(run_cli, data, tmp_path, metric, package):
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / f"{package}.py").write_text("raise ImportError('not here')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "shadow")}
    done = run_cli(*arguments(data, metrics=f"sdr,{metric}"), env=environment)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = error_lines(done)
    assert f"--metrics {metric} needs the package {package}" in line
    assert "cplxsep[perceptual]" in line


@pytest.mark.parametrize("target", ["tt/metadata.csv", "tt/s1/new.wav", "link/a.csv", "est/a.csv"])
def test_the_csv_does_not_replace_files_that_are_scored(command, data, target):
    (data / "link").symlink_to(data / "tt" / "mix")
    before = (data / "tt" / "metadata.csv").read_bytes()
    done = command(*arguments(data, "--csv", data / target))
    assert (done.code, done.out) == (2, "")
    assert "lies among the inputs" in done.err
    assert (data / "tt" / "metadata.csv").read_bytes() == before


def test_the_csv_does_not_replace_the_metadata(command, data):
    table = data / "more.csv"
    table.write_text(f"name,room\n{NAMES[0]},a\n")
    done = command(*arguments(data, "--metadata", table, "--csv", table))
    assert (done.code, table.read_text()) == (2, f"name,room\n{NAMES[0]},a\n")


def test_csv_and_page_are_two_files(command, data):
    done = command(*arguments(data, "--csv", data / "a", "--html", data / "a"))
    assert done.code == 2
    assert "--csv and --html would both write" in done.err
    assert not (data / "a").exists()


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


def test_many_broken_files_are_told_briefly(run_cli, data):
    for number in range(30):
        put(data / "tt" / "s1" / f"x{number:02}.wav", np.ones(10))
    done = run_cli(*arguments(data, "--json"))
    assert done.returncode == 1
    lines = error_lines(done)
    assert len(lines) == 11
    assert "20 more examples failed" in lines[-1]
    assert len(json.loads(done.stdout)["failed"]) == 30


def test_a_threshold_is_refused_before_the_work(command, data):
    for path in (data / "est" / "s1").iterdir():
        path.write_bytes(b"no audio")
    for more in (("--fail-under", "si-sdr-j=1"), ("--fail-under", "sdr=1")):
        done = command(*arguments(data, *more))
        assert (done.code, done.err.count("error")) == (2, 1)
        assert "not computed here, only si-sdr, si-sdr-i" in done.err


def test_lengths_that_differ(command, data):
    put(data / "est" / "s1" / f"{NAMES[0]}.wav", np.ones(2399))
    done = command(*arguments(data, "--json"))
    (failure,) = json.loads(done.out)["failed"]
    assert (done.code, failure["name"]) == (1, NAMES[0])
    assert "has 2400 samples but" in failure["reason"]
    assert "has 2399" in failure["reason"]
    assert "--cut" in failure["reason"]


def test_lengths_that_differ_are_cut_if_asked(command, data):
    put(data / "est" / "s1" / f"{NAMES[0]}.wav", signals(NAMES[0])[1][0][:-3])
    put(data / "tt" / "mix" / f"{NAMES[1]}.wav", signals(NAMES[1])[0].sum(axis=0)[:-40])
    done = command(*arguments(data, "--json", "--cut"))
    assert (done.code, json.loads(done.out)["failed"]) == (0, [])
    assert json.loads(done.out)["summary"]["si_sdr_i"]["n"] == 3
    assert done.err == "cut to the shortest of their files: 2, by 0.005 s at the most\n"
    assert command(*arguments(data, "--cut", "--limit", 1)).code == 0


def test_both_sides_of_a_comparison_are_cut_alike(command, data):
    """Regression: of the same estimates, the first half of a recording was better or worse."""
    for number, estimate in enumerate(signals(NAMES[0])[1], 1):
        for name in NAMES:
            file = data / "est" / f"s{number}" / f"{name}.wav"
            put(data / "b" / file.parent.name / file.name, io.read(file)[0][0])
        put(data / "b" / f"s{number}" / f"{NAMES[0]}.wav", estimate[:1500])
    (data / "b" / "s2" / f"{NAMES[1]}.wav").write_bytes(b"no audio")
    form = ("eval", "--ref", data / "tt", "--compare", data / "est", data / "b", "--cut", "--json")
    done = command(*form, "--metrics", "si-sdr")
    compared = json.loads(done.out)["comparison"]
    assert [pair["difference"]["si_sdr"] for pair in compared["per_example"]] == [0, 0]
    assert compared["only_a"] == [NAMES[1]]
    assert "cut to the shortest of their files: 1, by 0.1125 s at the most" in done.err


def test_talkers_that_are_missing(command, data):
    for path in (data / "est" / "s2").iterdir():
        path.unlink()
    (data / "est" / "s2").rmdir()
    done = command(*arguments(data))
    assert (done.code, done.out) == (1, "")
    assert "estimates for 1 of 2 talkers" in done.err


@pytest.mark.parametrize("where", ["est", "tt"])
def test_mixed_rates_are_refused(command, data, where):
    """Within an example, and between examples."""
    for folder in ("mix", "s1", "s2"):
        for root in (data / "tt", data / "est"):
            if where == "tt" and (path := root / folder / f"{NAMES[1]}.wav").is_file():
                put(path, io.read(path)[0][0], 16000)
    if where == "est":
        put(data / "est" / "s1" / f"{NAMES[1]}.wav", np.ones(2400), 16000)
    done = command(*arguments(data, "--json"))
    (failure,) = json.loads(done.out)["failed"]
    assert (done.code, failure["name"]) == (1, NAMES[1])
    assert "8000 Hz" in failure["reason"]
    assert "16000 Hz" in failure["reason"]


def test_a_reference_that_is_silent(command, data):
    put(data / "tt" / "s2" / f"{NAMES[1]}.wav", np.zeros(2400))
    done = command(*arguments(data, "--json", metrics="sdr,sir,sar,si-sdr,stoi"))
    assert done.code == 0
    result = json.loads(done.out)
    assert {
        key: reasons["silent reference"] for key, reasons in result["null"].items()
    } == dict.fromkeys(result["summary"], 1)
    (entry,) = (entry for entry in result["per_example"] if entry["name"] == NAMES[1])
    assert entry["sources"][0]["si_sdr"] is not None
    assert entry["sources"][1]["si_sdr"] is None


def test_ten_thousand_files(run_cli, data):
    """Listed in no time: what takes long is the scoring."""
    source = data / "tt" / "s1" / f"{NAMES[0]}.wav"
    for number in range(10_000):
        os.link(source, data / "tt" / "s1" / f"x{number:05}.wav")
    for folder in ("tt/s2", "tt/mix", "est/s1", "est/s2"):
        shutil.rmtree(data / folder)
        (data / folder).symlink_to(data / "tt" / "s1")
    before = os.times()
    done = run_cli(*arguments(data, "--limit", 5, "--json"))
    after = os.times()
    result = json.loads(done.stdout)
    assert result["examples"] == 5
    assert result["summary"]["si_sdr"]["mean"] == pytest.approx(100, abs=0.01)
    assert after.children_user - before.children_user < 6


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_ends_the_processes(data, number):
    for copy in range(2000):
        for folder in ("tt/mix", "tt/s1", "tt/s2", "est/s1", "est/s2"):
            os.link(data / folder / f"{NAMES[0]}.wav", data / folder / f"x{copy:05}.wav")
    more = ("--workers", 2, "--metrics", "sdr,sir,sar")
    command = [sys.executable, "-m", "cplxsep", *map(str, arguments(data, *more))]
    target = data / "scores.csv"
    with subprocess.Popen(
        [*command, "--csv", str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        begun = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None and len(begun.read_text().split()) < 2:
            time.sleep(0.01)
        os.killpg(process.pid, number)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert not target.exists()
    assert ends(process.pid, within=20)
