import csv

import pytest
import soundfile
from synthetic import make_manifest, make_speech


def test_mix(run_cli, tmp_path):
    make_speech(tmp_path / "speech", speakers=6, sample_rate=16000)
    done = run_cli(
        *("prepare", "mix", "--speech", "speech", "-o", "out", "--count", 3, "--snr", "-2:2"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout.splitlines()) == (
        0,
        [f"out/{split}/metadata.csv" for split in ("tr", "cv", "tt")],
    )
    assert "out/tt: 3 mixtures" in done.stderr
    assert soundfile.info(next((tmp_path / "out/tr/mix").glob("*.wav"))).samplerate == 8000


def test_quiet_and_bad_utterances(run_cli, tmp_path):
    manifest = make_manifest(tmp_path)
    bad = tmp_path / "speech" / "spk06" / "utt0.wav"
    bad.write_text("no audio")
    command = ("-q", "prepare", "mix", "--speech", manifest, "-o", tmp_path / "out")
    done = run_cli(*command, "--split", "test", "--count", 10)
    # Some input failed: exit code 1, though the mixtures are complete without it.
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {bad} is not readable audio")
    with open(done.stdout.strip()) as file:
        assert len(list(csv.DictReader(file))) == 10


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--speech", "none.csv", "--count", "1"), 1, "cannot read none.csv"),
        (("--speech", "one", "--count", "1"), 1, "one has 1 speaker"),
        (
            ("--speech", "two", "--count", "1", "--split", "train", "-o", "full/x"),
            1,
            "cannot write",
        ),
        (("--speech", "two", "--split", "train"), 2, "give either --count or --hours"),
        (("--speech", "two", "--count", "1", "--snr", "5"), 2, "--snr '5' is not LO:HI"),
        (("--speech", "two", "--count", "1", "--snr", "5:0"), 2, "--snr '5:0' must be"),
        (("--speech", "two", "--count", "1", "--split", "dev"), 2, "no split 'dev'"),
    ],
)
def test_errors(run_cli, tmp_path, arguments, code, says):
    make_speech(tmp_path / "one", speakers=1, utterances=1)
    make_speech(tmp_path / "two", speakers=2, utterances=1)
    (tmp_path / "full").write_text("a file, no folder")
    done = run_cli("prepare", "mix", "-o", "out", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not (tmp_path / "out").exists()


def test_real_speech(run_cli, shared_data, tmp_path):
    outs = []
    for name in ("a", "b"):
        done = run_cli(
            *("prepare", "mix", "--speech", shared_data / "speech.csv", "-o", tmp_path / name),
            *("--split", "test", "--count", 4, "--seed", 7),
        )
        assert done.returncode == 0, done.stderr
        outs.append({file.name: file.read_bytes() for file in (tmp_path / name).rglob("mix/*.wav")})
    assert len(outs[0]) == 4
    assert outs[0] == outs[1]
