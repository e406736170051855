import csv
import os
import shutil
import time

import numpy as np
import pytest
import soundfile
from corpora import make_librimix, make_wsj0
from synthetic import babble, make_manifest, make_speech


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
def test_errors(command, tmp_path, monkeypatch, arguments, code, says):
    make_speech(tmp_path / "one", speakers=1, utterances=1)
    make_speech(tmp_path / "two", speakers=2, utterances=1)
    (tmp_path / "full").write_text("a file, no folder")
    monkeypatch.chdir(tmp_path)
    done = command("prepare", "mix", "-o", "out", *arguments)
    assert (done.code, done.out) == (code, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert says in line
    assert not (tmp_path / "out").exists()


def test_endless_hours_are_refused(command, tmp_path):
    """Regression: `--hours inf` planned mixtures without end."""
    make_speech(tmp_path / "two", speakers=2, utterances=1)
    done = command(
        *("prepare", "mix", "--speech", tmp_path / "two", "-o", tmp_path / "out"),
        *("--hours", "inf"),
    )
    assert done.code == 2
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


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_sparse_mixtures_and_tables(run_cli, tmp_path):
    make_speech(tmp_path / "speech", speakers=8)
    done = run_cli(
        *("prepare", "mix", "--speech", "speech", "-o", "out", "--count", 4, "--split", "train"),
        *("--sources", 3, "--overlap", 0.2, "--mode", "max", "--level", "p56"),
        *("--speed", "0.9:1.1", "--manifest-only"),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "out/tr/metadata.csv\n")
    assert sorted(file.name for file in (tmp_path / "out" / "tr").iterdir()) == [
        *("metadata.csv", "preparation.json", "snr.png", "summary.json")
    ]
    assert len(rows_of(tmp_path / "out/tr/metadata.csv")) == 4


def test_noisy(run_cli, tmp_path):
    make_speech(tmp_path / "speech", speakers=7)
    (tmp_path / "noise").mkdir()
    for number in range(7):
        noise = 0.1 * np.random.default_rng(number).standard_normal(6000)
        soundfile.write(tmp_path / "noise" / f"{number}.wav", noise, 8000)
    (tmp_path / "rooms").mkdir()
    soundfile.write(tmp_path / "rooms" / "hall.wav", [0, 0.5, 0.1, 0, 0.05], 8000)
    shutil.copy(tmp_path / "noise" / "3.wav", tmp_path / "noise" / "4.wav")
    done = run_cli(
        *("prepare", "noisy", "--speech", "speech", "--noise", "noise", "-o", "out", "--count", 5),
        *("--rate", 8000, "--snr", "-5:5", "--rooms", "rooms", "--reference", "dry"),
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert "noise/4.wav is a copy of" in done.stderr
    assert done.stdout.splitlines() == [f"out/{name}/metadata.csv" for name in ("tr", "cv", "tt")]
    assert len(list((tmp_path / "out/tt/noise").glob("*.wav"))) == 5


def test_published_corpora(run_cli, tmp_path):
    lists, corpus = make_wsj0(tmp_path)
    done = run_cli(
        *("prepare", "wsj0", "--lists", lists, "--wsj0", corpus, "-o", "out", "--sources", 3),
        *("--mode", "min", "--split", "tr,tt"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert "out/3speakers/wav8k/min/tt/metadata.csv" in done.stdout
    metadata, speech, noise = make_librimix(tmp_path / "libri")
    done = run_cli(
        *("prepare", "librimix", "--metadata", metadata, "--librispeech", speech),
        *("--noise", noise, "-o", "out", "--rate", 8000, "--mode", "min", "--types", "mix_both"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"out/Libri2Mix/wav8k/min/{name}/metadata.csv" for name in ("dev", "test")
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("mix --speech two --count 1 --sources 6", 2, "--sources"),
        ("mix --speech two --count 1 --overlap 1.5", 2, "--overlap"),
        ("mix --speech two --count 1 --speed 0:1", 2, "--speed '0:1' must be LO:HI"),
        ("mix --speech two --count 1 --speed fast", 2, "--speed 'fast' is not LO:HI"),
        ("noisy --speech two --noise none --count 1", 1, "cannot read none"),
        ("noisy --speech two --noise empty --count 1", 1, "empty holds no audio"),
        ("noisy --speech two --noise two --count 1 --rooms no", 1, "nor the word simulated"),
        ("noisy --speech empty --noise two --count 1", 1, "empty holds no audio in sub-folders"),
        ("noisy --speech two --noise two", 2, "give either --count or --hours"),
        ("wsj0 --lists empty --wsj0 two", 1, "cannot read the list empty/mix_2_spk_tr.txt"),
        ("wsj0 --lists empty --wsj0 two --rate 44100", 2, "--rate '44100': choose from 8000"),
        ("wsj0 --lists empty --wsj0 two --split dev", 2, "--split 'dev': choose from tr, cv, tt"),
        ("librimix --metadata empty --librispeech two", 1, "empty holds no CSV file"),
        ("librimix --metadata no.csv --librispeech two", 1, "cannot read no.csv: No such file"),
        ("librimix --metadata a --librispeech b --types mix", 2, "--types 'mix': choose from mix_"),
    ],
)
def test_errors_of_all_recipes(command, tmp_path, monkeypatch, arguments, code, says):
    monkeypatch.chdir(tmp_path)
    make_speech(tmp_path / "two", speakers=2, utterances=1)
    (tmp_path / "empty").mkdir()
    done = command("prepare", *arguments.split(), "-o", "out")
    assert (done.code, done.out) == (code, "")
    assert says in " ".join(done.err.split())
    assert "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_no_permission(command, tmp_path):
    speech = make_speech(tmp_path / "two", speakers=2, utterances=1)
    (speech / "spk00" / "utt0.wav").chmod(0)
    done = command(
        *("prepare", "mix", "--speech", speech, "--count", 1, "--split", "train"),
        *("-o", tmp_path / "out"),
    )
    assert done.code == 1
    assert "Permission denied" in done.err
    (tmp_path / "closed").mkdir(mode=0o500)
    make_speech(tmp_path / "three", speakers=2, utterances=1)
    done = command(
        *("prepare", "mix", "--speech", tmp_path / "three", "--count", 1, "--split", "train"),
        *("-o", tmp_path / "closed" / "out"),
    )
    assert (done.code, done.out) == (1, "")
    assert "cannot write in" in done.err


def test_ten_thousand_files(command, tmp_path):
    speech, (one, other) = tmp_path / "in", (babble(0.5, 8000, seed) for seed in (0, 1))
    soundfile.write(tmp_path / "one.wav", one, 8000)
    soundfile.write(tmp_path / "other.wav", other, 8000)
    data = [(tmp_path / name).read_bytes() for name in ("one.wav", "other.wav")]
    for speaker in range(100):
        (speech / f"s{speaker}").mkdir(parents=True)
        for number in range(100):
            # No two alike: the end of the data differs.
            tail = (100 * speaker + number).to_bytes(2, "little")
            (speech / f"s{speaker}" / f"{number}.wav").write_bytes(data[number % 2][:-2] + tail)
    start = time.perf_counter()
    done = command(
        *("prepare", "mix", "--speech", speech, "--count", 20, "--split", "train"),
        *("-o", tmp_path / "out"),
    )
    assert done.code == 0, done.err
    # Ten times what it takes.
    assert time.perf_counter() - start < 40


def test_real_noise_and_rooms(run_cli, shared_data, tmp_path):
    done = run_cli(
        *("prepare", "noisy", "--speech", shared_data / "speech.csv", "--split", "test"),
        *("--noise", shared_data / "noise.csv", "--rooms", shared_data / "rir", "--count", 8),
        *("-o", tmp_path),
    )
    assert done.returncode == 0, done.stderr
    for row in rows_of(tmp_path / "tt" / "metadata.csv"):
        mixture, speech, noise = (
            soundfile.read(tmp_path / "tt" / part / f"{row['name']}.wav")[0]
            for part in ("mix", "s1", "noise")
        )
        assert len(mixture) == len(speech) == len(noise)
        frames = noise[: len(noise) // 8000 * 8000].reshape(-1, 8000)
        # esc10 is padded with digital silence: no half second of it gets here.
        assert np.abs(frames).max(axis=1).min() > 0
        assert np.dot(mixture - noise, speech) > 0


def test_conversations_in_rooms_made_before(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_speech(tmp_path / "speech", speakers=3)
    done = command("prepare", "rooms", "-o", "rooms", "--count", 2, "--rate", 8000)
    assert (done.code, done.out) == (0, "rooms/rooms.csv\n"), done.err
    shape = ("--count", 2, "--seconds", 2.5, "--rate", 8000, "--turns", "0.4:0.8")
    done = command(
        *("prepare", "conversations", "--speech", "speech", "-o", "out", "--split", "train"),
        *(*shape, "--rooms", "rooms", "--overlap", "0.5:0.5"),
    )
    assert (done.code, done.out) == (0, "out/tr/metadata.csv\n"), done.err
    for part in ("mix", "s1", "s2", "noise"):
        assert len(list((tmp_path / "out" / "tr" / part).glob("*.wav"))) == 2
    with open("out/tr/metadata.csv") as file:
        assert {row["condition"] for row in csv.DictReader(file)} == {"room"}


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--overlap", "0.5"), 2, "--overlap '0.5' is not LO:HI in shares"),
        (("--overlap", "0:2"), 2, "--overlap '0:2' must be LO:HI with 0 <= LO <= HI <= 1 shares"),
        (("--turns", "0:2"), 2, "--turns '0:2' must be LO:HI with 0.3 <= LO <= HI <= 600 s"),
        (("--noise-snr", "a:b"), 2, "--noise-snr 'a:b' is not LO:HI in dB"),
        (("--rooms", "mono"), 1, "mono has no 2 different responses, one for each talker"),
        (("--rooms", "nowhere"), 1, "nowhere is no folder of room responses"),
    ],
)
def test_errors_of_conversations(command, tmp_path, monkeypatch, options, code, says):
    monkeypatch.chdir(tmp_path)
    make_speech(tmp_path / "speech", speakers=3, utterances=1)
    (tmp_path / "mono").mkdir()
    soundfile.write("mono/a.wav", np.exp(-np.arange(800) / 99), 8000)
    done = command(
        *("prepare", "conversations", "--speech", "speech", "-o", "out", "--split", "train"),
        *("--count", 1, "--seconds", 2, "--rate", 8000, *options),
    )
    assert done.code == code, done.err
    assert says in done.err
    assert not list((tmp_path).rglob("out/*/mix/*.wav"))
