"""`separate --rttm`: who speaks when."""

import json

import numpy as np
import pytest
import soundfile
from standins import Stand, halves

from cplxsep.engine import separator

RATE = 8000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A recording of a low voice from 1 to 3 s and a high one from 2 to 5 s of 7, in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(separator, "load_model", lambda *_: Stand(halves))
    time = np.arange(7 * RATE) / RATE
    low = 0.2 * np.sin(2 * np.pi * 300 * time) * ((time >= 1) & (time < 3))
    high = 0.2 * np.sin(2 * np.pi * 2500 * time) * ((time >= 2) & (time < 5))
    soundfile.write("talk one.wav", low + high, RATE)
    return tmp_path


def spoken(path):
    """Speaker, start and end of each line."""
    lines = [line.split() for line in path.read_text().splitlines()]
    return [(f[7], float(f[3]), float(f[3]) + float(f[4])) for f in lines]


def test_who_speaks_when(folder, model, command):
    done = command("separate", "talk one.wav", "-m", model, "--rttm", "--device", "cpu")
    assert done.code == 0, done.err
    path = folder / "separated" / "talk one.rttm"
    assert done.out.splitlines()[-1] == "separated/talk one.rttm"
    assert path.read_text().startswith("SPEAKER talk_one 1 ")
    (first, *low), (second, *high) = spoken(path)
    assert {first, second} == {"s1", "s2"}
    np.testing.assert_allclose([low, high], [(1, 3), (2, 5)], atol=0.05)


def test_an_offset_that_the_sources_sum_to_is_nobodys_speech(folder, model, command):
    audio, _ = soundfile.read("talk one.wav")
    soundfile.write("talk one.wav", audio + 0.1, RATE, subtype="FLOAT")
    options = ("-m", model, "--device", "cpu", "--rttm", "--sum-to-mix", "--json")
    done = command("separate", "talk one.wav", *options)
    (_, *low), (_, *high) = spoken(folder / "separated" / "talk one.rttm")
    np.testing.assert_allclose([low, high], [(1, 3), (2, 5)], atol=0.05)
    (file,) = json.loads(done.out)["files"]
    spread = 10 * np.log10([0.2**2 / 2 * share / 7 for share in (2, 3)])
    np.testing.assert_allclose(sorted(file["levels"]), spread, atol=0.1)
    sources = [soundfile.read(path)[0] for path in file["outputs"][:2]]
    np.testing.assert_allclose(sum(sources), audio + 0.1, atol=1e-6)


def test_times_are_those_of_the_whole_recording(folder, model, command):
    done = command(
        *("separate", "talk one.wav", "-m", model, "--rttm", "--device", "cpu"),
        *("--start", 2.5, "--duration", 2, "-o", "part"),
    )
    assert done.code == 0, done.err
    (_, *low), (_, *high) = spoken(folder / "part" / "talk one.rttm")
    np.testing.assert_allclose([low, high], [(2.5, 3), (2.5, 4.5)], atol=0.05)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{stem}_{source}.{ext}", "talk one.rttm"),
        ("{source}/{stem}.{ext}", "talk one.rttm"),
        ("{stem}/{source}.{ext}", "talk one/talk one.rttm"),
        ("{source} of {stem}-{input_ext}.{ext}", "of talk one-wav.rttm"),
        ("x-{stem}-{source}.wav", "x-talk one.rttm"),
        ("_{stem}_{source}_.{ext}", "_talk one_.rttm"),
        ("{source}_of/{stem}.{ext}", "of/talk one.rttm"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_its_name_is_that_of_the_outputs_without_the_source(model, command, template, name):
    done = command(
        "separate", "talk one.wav", "-m", model, "--rttm", "--name", template, "--dry-run", "--json"
    )
    assert done.code == 0, done.err
    assert json.loads(done.out)["files"][0]["outputs"][-1] == f"separated/{name}"


def test_two_recordings_with_one_name_are_told_before_the_work(folder, model, command):
    (folder / "b").mkdir()
    soundfile.write("b/talk one.wav", np.zeros(RATE), RATE)
    both = ("separate", "talk one.wav", "b/talk one.wav", "-m", model, "--rttm", "--dry-run")
    done = command(*both)
    assert (done.code, "put {parent} into --name" in done.err) == (2, True)
    assert command(*both, "--name", "{parent}/{stem}_{source}.{ext}").code == 0


def test_what_a_stem_ends_in_stays_in_the_name(folder, model, command):
    names = ("call.wav", "call_.wav", "trail .wav", "v1.2.wav")
    for name in names:
        (folder / name).write_bytes((folder / "talk one.wav").read_bytes())
    for template in ("{stem}_{source}.{ext}", "{stem}-{source}"):
        arguments = ("-m", model, "--rttm", "--dry-run", "--name", template)
        done = command("separate", *names, *arguments)
        tables = [line for line in done.out.splitlines() if line.endswith(".rttm")]
        assert tables == [f"separated/{name.removesuffix('.wav')}.rttm" for name in names]
