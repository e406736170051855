"""`cplxsep eval` as a user runs it, on files of references and estimates."""

import csv
import json
import wave
from pathlib import Path

import numpy as np
import pytest
from scored import NAMES, RATE, arguments, bss_eval, error_lines, make, put, signals

from cplxsep.audio import io
from cplxsep.metrics.sisdr import si_sdr


@pytest.fixture
def data(tmp_path) -> Path:
    return make(tmp_path)


def test_json_and_csv_hold_every_score(run_cli, data):
    target = data / "new" / "scores.csv"
    done = run_cli(*arguments(data, "--json", "--csv", target, metrics="sdr,sir,sar,si-sdr"))
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert (result["command"], result["examples"], result["failed"]) == ("eval", 3, [])
    assert result["by"]["condition"]["clean"]["sdr"]["n"] == 2
    assert list(result["by"]["condition"]) == ["clean", "far"]
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
    summary = result["summary"]["si_sdr_i"]
    low, high = summary["ci"]
    assert low < summary["mean"] < high
    with target.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [name for name in NAMES for _ in range(2)]
    assert float(rows[0]["sar"]) == result["per_example"][0]["sources"][0]["sar"]


def test_the_table_and_thresholds(run_cli, data):
    done = run_cli(*arguments(data, "--by", "room", "--fail-under", "si-sdr-i=50"))
    assert done.returncode == 1
    whole, rooms, worst = (part.splitlines() for part in done.stdout.split("\n\n"))
    assert [line.split()[0] for line in whole] == ["score", "SI-SDR", "SI-SDRi"]
    assert [line.split()[0] for line in rooms] == ["room", "x", "y"]
    assert worst[0].split() == ["worst", "files", "SI-SDRi", "dB"]
    assert {line.split()[0] for line in worst[1:]} == set(NAMES)
    (line,) = error_lines(done)
    assert "si-sdr-i is " in line
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
    assert set(result["by"].get("condition", ())) == (set() if metadata else {"clean", "far"})
    assert ("no column name" in done.err) == bool(metadata)


def test_two_folders_of_estimates(run_cli, data):
    """B is A with less noise in it, for two of the three; the third only A has."""
    for name in NAMES[:2]:
        references, estimates = signals(name)
        for j in (0, 1):
            put(data / "b" / f"{name}_s{j + 1}.wav", (estimates + references[::-1])[j] / 2)
    form = ("eval", "--ref", data / "tt", "--compare", data / "est", data / "b")
    target = data / "differences.csv"
    done = run_cli(*form, "--metrics", "si-sdr", "--json", "--csv", target)
    assert done.returncode == 1
    assert len(error_lines(done)) == 1
    result = json.loads(done.stdout)
    compared = result["comparison"]
    assert (compared["examples"], compared["only_a"]) == (2, [NAMES[2]])
    difference = compared["difference"]["si_sdr"]
    sides = [
        {e["name"]: np.mean([s["si_sdr"] for s in e["sources"]]) for e in result[s]["per_example"]}
        for s in "ab"
    ]
    expected = np.mean([sides[1][name] - sides[0][name] for name in NAMES[:2]])
    assert difference["mean"] == pytest.approx(expected) != 0
    assert difference["ci"][0] <= difference["mean"] <= difference["ci"][1]
    with target.open(newline="") as file:
        reasons = {row["name"]: row["reason"] for row in csv.DictReader(file)}
    assert [name for name, reason in reasons.items() if reason] == [NAMES[2]]
    done = run_cli(*form, "--metrics", "si-sdr", "--limit", 2, "--fail-under", "si-sdr=90")
    assert done.returncode == 1
    assert "less than the 90" in error_lines(done)[0]
    assert "B - A" in done.stdout


def test_bins_of_numbers_and_metadata_from_elsewhere(command, data, tmp_path):
    table = tmp_path / "levels.csv"
    table.write_text(
        "mixture_ID,snr\n" + "".join(f"{name},{n * 2.5}\n" for n, name in enumerate(NAMES))
    )
    done = command(*arguments(data, "--json", "--metadata", table, "--by", "snr:5"))
    assert done.code == 0
    groups = json.loads(done.out)["by"]["snr"]
    assert {label: group["si_sdr"]["n"] for label, group in groups.items()} == {"0 to 5": 3}


def test_a_table_of_other_or_unlike_rows(command, data, tmp_path):
    table = tmp_path / "levels.csv"
    table.write_text(f"name,snr\n{NAMES[0]}.wav,5\n")
    done = command(*arguments(data, "--metadata", table, "--by", "snr"))
    assert (done.code, done.out) == (1, "")
    assert f"no row for any, such as {NAMES[0]}; its first is {NAMES[0]}.wav" in done.err
    table.write_text(f"name,snr\n{NAMES[0]},5\n{NAMES[0]},5\n{NAMES[0]},7\n")
    done = command(*arguments(data, "--metadata", table, "--by", "snr"))
    assert (done.code, done.out) == (1, "")
    assert f"levels.csv line 4: {NAMES[0]} is listed before, with other values" in done.err


def test_the_shipped_example(run_cli, examples, tmp_path):
    """Flat files: the mixture, its references, and the references in each other as estimates."""
    first, second = (io.read(examples / f"two_talkers_s{j}.wav")[0][0] for j in (1, 2))
    put(tmp_path / "two_talkers_s1.wav", second + 0.1 * first, 16000)
    put(tmp_path / "two_talkers_s2.wav", first + 0.1 * second, 16000)
    done = run_cli("eval", "--ref", examples, "--est", tmp_path, "--json", "--workers", 2)
    assert (done.returncode, done.stderr) == (0, "")
    (example,) = json.loads(done.stdout)["per_example"]
    assert [source["estimate"] for source in example["sources"]] == ["s2", "s1"]
    # Talker 1 is 2 dB louder: 20 dB below in one estimate are 18 in the other.
    for source, level in zip(example["sources"], (22, 18), strict=True):
        assert source["si_sdr"] == pytest.approx(level, abs=0.7)
        assert source["sir"] == pytest.approx(level, abs=1)
        assert source["sar"] > 60


def test_the_page(run_cli, data):
    target = data / "pages" / "scores.html"
    done = run_cli(*arguments(data, "--html", target, "--html-examples", 2))
    assert (done.returncode, done.stderr) == (0, "")
    page = target.read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<audio ") == 2 * 5
    assert all(name in page for name in NAMES)


def test_real_speech(run_cli, shared_data, tmp_path):
    """Two talkers, with the other one 10 dB down in each estimate."""
    with (shared_data / "speech.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    speakers = {row["speaker"]: row["path"] for row in rows if 3 < float(row["seconds"]) < 20}
    files = [shared_data / path for path in list(speakers.values())[:6]]
    lines = ["name,length"]
    for number in range(3):
        pair = [io.read(file)[0][0][:40000] for file in files[2 * number : 2 * number + 2]]
        both = np.stack([signal / signal.std() / 30 for signal in pair])
        put(tmp_path / "ref" / "mix" / f"{number}.wav", both.sum(axis=0), 16000)
        for j in (0, 1):
            put(tmp_path / "ref" / f"s{j + 1}" / f"{number}.wav", both[j], 16000)
            estimate = both[1 - j] + 10**-0.5 * both[j]
            put(tmp_path / "est" / f"{number}_s{j + 1}.wav", estimate, 16000)
        lines.append(f"{number},{'short' if number < 2 else 'long'}")
    (tmp_path / "ref" / "metadata.csv").write_text("\n".join(lines) + "\n")
    form = ("eval", "--ref", tmp_path / "ref", "--est", tmp_path / "est", "--json", "--workers", 2)
    metrics = "sdr,sir,sar,si-sdr,pesq-nb,pesq-wb,stoi"
    done = run_cli(*form, "--metrics", metrics, "--by", "length")
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    for key in ("sdr", "sir", "si_sdr"):
        assert result["summary"][key]["mean"] == pytest.approx(10, abs=1)
        assert result["summary"][f"{key}_i"]["mean"] == pytest.approx(10, abs=1)
    for band in ("pesq_nb", "pesq_wb"):
        assert 1 < result["summary"][band]["mean"] < 4.6
        assert result["summary"][f"{band}_i"]["mean"] > 0.2
    assert result["summary"]["stoi_i"]["mean"] > 0.05
    assert list(result["by"]["length"]) == ["long", "short"]
    assert result["null"] == {}
    assert {source["estimate"] for e in result["per_example"] for source in e["sources"][:1]} == {
        "s2"
    }
