"""What commands do with a model of several sample rates, and what they tell of files' rates."""

import json

import numpy as np
import pytest
import soundfile
from standins import TWO_RATES, checkpoint


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with models of two and of one source for 8 and 16 kHz."""
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path / "two", TWO_RATES)
    checkpoint(tmp_path / "one", TWO_RATES.model_copy(update={"sources": 1}))
    return tmp_path


def record(*rates: int) -> list[str]:
    """Names of files of half a second of noise."""
    for rate in rates:
        audio = 0.1 * np.random.default_rng(0).standard_normal(rate // 2)
        soundfile.write(f"{rate}.wav", audio, rate)
    return [f"{rate}.wav" for rate in rates]


@pytest.mark.usefixtures("folder")
def test_nothing_is_told_of_files_at_a_rate_of_the_model(command):
    done = command("separate", *record(8000, 16000), "-m", "two")
    assert (done.code, done.err) == (0, "")


@pytest.mark.usefixtures("folder")
def test_one_note_for_each_other_rate(command):
    files = record(4000, 11025, 44100)
    soundfile.write("again.wav", np.full(400, 0.1), 4000)
    done = command("separate", *files, "again.wav", "-m", "two")
    assert done.code == 0
    assert done.err.splitlines() == [
        "note: files at 4000 Hz are brought to 8000 Hz, the lowest rate of this model",
        "note: files at 11025 Hz are separated up to 4000 Hz, "
        "as this model's next rate is 16000 Hz",
        "note: files at 44100 Hz are separated up to 8000 Hz, all that this model hears",
    ]
    for name in files:
        assert soundfile.info(f"separated/{name[:-4]}_s1.wav").samplerate == int(name[:-4])


@pytest.mark.usefixtures("folder")
def test_enhance_tells_what_becomes_of_the_band_above(command):
    done = command("enhance", *record(4000, 11025, 16000), "-m", "one", "--above", "keep")
    assert done.code == 0
    below, between = done.err.splitlines()
    assert "4000 Hz are brought to 8000 Hz" in below
    assert "band above" not in below
    assert "11025 Hz are enhanced up to 4000 Hz" in between
    assert "the band above is kept as it is (--above)" in between


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("name", "model"), [("separate", "two"), ("enhance", "one")])
def test_rate_model_writes_at_the_rate_that_each_file_was_run_at(command, name, model):
    files = record(4000, 8000, 11025, 16000, 44100)
    done = command(name, *files, "-m", model, "--rate", "model", "--json")
    assert done.code == 0
    run_at = [8000, 8000, 8000, 16000, 16000]
    for entry, rate in zip(json.loads(done.out)["files"], run_at, strict=True):
        assert entry["sample_rate"] == rate
        for path in entry["outputs"]:
            info = soundfile.info(path)
            assert (info.samplerate, info.frames) == (rate, rate // 2)
