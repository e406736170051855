"""Only a part of a recording, outputs that are not kept, and MP3, as users ask for them."""

import io
import json
import sys

import numpy as np
import pytest
import soundfile
import torch
from standins import tiny_model, without_offset

from cplxsep.networks.model import SeparationModel


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The network gives the mixture, and it again 40 dB softer."""
    monkeypatch.chdir(tmp_path)
    scales = torch.tensor([1.0, 0.01])[None, :, None]
    monkeypatch.setattr(SeparationModel, "forward", lambda _, mixture: scales * mixture[:, None])
    return tmp_path


@pytest.fixture
def audio():
    samples = (0.1 * np.random.default_rng(0).standard_normal(24000)).astype(np.float32)
    soundfile.write("a.wav", samples, 8000, subtype="FLOAT")
    return samples


def read(path):
    return soundfile.read(path, dtype="float32")[0]


@pytest.mark.parametrize(
    ("more", "first", "last"),
    [
        (["--start", "0.5", "--duration", "1.25"], 4000, 14000),
        (["--start", "2"], 16000, 24000),
        (["--duration", "100"], 0, 24000),
    ],
)
def test_a_part_of_a_recording(audio, model, command, more, first, last):
    done = command("separate", "a.wav", "-m", model, *more, "--json", "--plot")
    assert (done.code, done.err) == (0, "")
    (file,) = json.loads(done.out)["files"]
    assert file["seconds"] == (last - first) / 8000
    expected = without_offset(audio[first:last], 8000)
    np.testing.assert_allclose(read("separated/a_s1.wav"), expected, atol=1e-6)


@pytest.mark.usefixtures("audio")
def test_a_part_of_a_pipe(model, command, monkeypatch, folder):
    content = (folder / "a.wav").read_bytes()
    size = content.index(b"data") + 4
    for form in (content, content[:size] + b"\xff\xff\xff\xff" + content[size + 4 :]):

        class Pipe:
            buffer = io.BytesIO(form)

        monkeypatch.setattr(sys, "stdin", Pipe)
        done = command("separate", "-", "-m", model, "--start", "1", "--duration", "0.5")
        assert (done.code, done.err) == (0, "")
        assert len(read("separated/stdin_s1.wav")) == 4000


@pytest.mark.usefixtures("audio")
def test_nothing_is_left_after_the_end(model, command, folder):
    done = command("separate", "a.wav", "-m", model, "--start", "3")
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: a.wav is 3.00 s long: nothing is left after --start\n"
    assert not (folder / "separated").exists()


@pytest.mark.usefixtures("audio")
def test_what_was_wrong_with_a_channel_is_told_with_its_name_once(model, command):
    done = command("separate", "a.wav", "-m", model, "--channel", "each", "--start", "3")
    says = "a.wav (channel 1) is 3.00 s long: nothing is left after --start"
    assert done.err == f"error: {says}\n"


@pytest.mark.usefixtures("audio")
@pytest.mark.parametrize("option", ["--start", "--duration"])
@pytest.mark.parametrize("value", ["inf", "1e308"])
def test_times_without_an_end(model, command, option, value):
    done = command("separate", "a.wav", "-m", model, option, value)
    assert (done.code, done.out) == (2, "")
    assert f"Invalid value for '{option}'" in done.err


@pytest.mark.usefixtures("audio")
@pytest.mark.parametrize("most", ["-30", "-50"])
def test_an_output_too_soft_to_keep(model, command, most, folder):
    done = command("separate", "a.wav", "-m", model, "--skip-silent", most, "--json")
    (file,) = json.loads(done.out)["files"]
    soft = [] if most == "-50" else ["separated/a_s2.wav"]
    assert file["silent"] == soft
    assert (folder / "separated" / "a_s2.wav").exists() == (not soft)
    assert (folder / "separated" / "a_s1.wav").exists()
    assert file["levels"][1] == pytest.approx(file["input_level"] - 40, abs=0.1)
    assert (done.err == "a.wav: separated/a_s2.wav was too soft to keep\n") == bool(soft)


@pytest.mark.usefixtures("audio")
@pytest.mark.parametrize("out", ["grow", "out"])
def test_a_file_with_an_output_too_soft_to_keep_is_not_done_again(model, command, out, folder):
    (folder / "grow").mkdir()
    (folder / "a.wav").rename("grow/a.wav")
    options = ("-m", model, "-o", out, "--exist", "skip", "--skip-silent", "-30", "--plot")
    done = command("separate", "grow", *options)
    assert (done.code, done.out) == (0, f"{out}/a_s1.wav\n{out}/a_plot.png\n")
    again = command("separate", "grow", *options, "--json")
    (file,) = json.loads(again.out)["files"]
    assert (again.code, file["status"]) == (0, "skipped")
    assert file["outputs"] == [f"{out}/a_s1.wav", f"{out}/a_plot.png"]
    (folder / out / "a_plot.png").unlink()
    assert command("separate", "grow/a.wav", *options).out == done.out


@pytest.mark.skipif("MP3" not in soundfile.available_formats(), reason="an old libsndfile")
def test_mp3(audio, model, command, tmp_path_factory):
    done = command("separate", "a.wav", "-m", model, "--format", "mp3")
    assert (done.code, done.out.split()) == (0, ["separated/a_s1.mp3", "separated/a_s2.mp3"])
    assert len(read("separated/a_s1.mp3")) == 24000
    assert np.corrcoef(read("separated/a_s1.mp3"), audio)[0, 1] > 0.8
    soundfile.write("b.wav", audio, 9000)
    soundfile.write("c.wav", np.stack([audio] * 3, axis=1), 8000)
    done = command("separate", "b.wav", "-m", model, "--format", "mp3")
    assert (done.code, "mp3 has no rate of 9000 Hz" in done.err) == (1, True)
    denoiser = tiny_model(tmp_path_factory.mktemp("models") / "d", sources=1, task="enhancement")
    done = command("enhance", "c.wav", "-m", denoiser, "--format", "mp3")
    assert (done.code, "mp3 holds up to 2 channels" in done.err) == (1, True)
