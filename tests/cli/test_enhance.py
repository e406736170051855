"""`cplxsep enhance`: channels, bands, noise, names, bad input."""

import json

import numpy as np
import pytest
import soundfile
from standins import tiny_model, without_offset

from cplxsep.networks.model import SeparationModel


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "denoise", sources=1, task="enhancement")


@pytest.fixture
def half(monkeypatch):
    """The network gives half of what it hears."""
    monkeypatch.setattr(SeparationModel, "forward", lambda _, mixture: 0.5 * mixture.unsqueeze(1))


@pytest.fixture
def stereo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audio = 0.1 * np.random.default_rng(0).standard_normal((12000, 2))
    soundfile.write("a.wav", audio, 8000, subtype="FLOAT")
    return audio.astype(np.float32)


def heard(stereo):
    """What the network gets."""
    return np.stack([without_offset(channel, 8000) for channel in stereo.T], axis=1)


def read(path):
    return soundfile.read(path, dtype="float32")[0]


@pytest.mark.usefixtures("half")
def test_stereo_stays_stereo(stereo, denoiser, command):
    done = command("enhance", "a.wav", "-m", denoiser)
    assert (done.code, done.out, done.err) == (0, "enhanced/a_enhanced.wav\n", "")
    np.testing.assert_allclose(read("enhanced/a_enhanced.wav"), 0.5 * heard(stereo), atol=1e-6)


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("subtype", ["float", "pcm16"])
def test_the_noise_is_what_was_taken_out(stereo, denoiser, command, kind, subtype):
    options = ["--keep-noise", "--format", kind, "--subtype", subtype, "--plot"]
    done = command("enhance", "a.wav", "-m", denoiser, *options)
    assert done.out.split() == [
        f"enhanced/a_enhanced.{kind}",
        f"enhanced/a_noise.{kind}",
        "enhanced/a_plot.png",
    ]
    if kind != "ogg":
        total = read(f"enhanced/a_enhanced.{kind}") + read(f"enhanced/a_noise.{kind}")
        np.testing.assert_allclose(total, stereo, atol=1e-4)


@pytest.mark.usefixtures("half")
def test_mix_back_leaves_noise(stereo, denoiser, command):
    command("enhance", "a.wav", "-m", denoiser, "--mix-back", "-20")
    expected = 0.45 * heard(stereo) + 0.1 * stereo
    np.testing.assert_allclose(read("enhanced/a_enhanced.wav"), expected, atol=1e-6)
    assert command("enhance", "a.wav", "-m", denoiser, "--mix-back", "3").code == 2


@pytest.mark.usefixtures("stereo")
@pytest.mark.parametrize(
    ("channel", "names", "channels"),
    [("mix", ["a"], 1), ("each", ["a_ch1", "a_ch2"], 1), ("2", ["a"], 1), ("all", ["a"], 2)],
)
def test_channels(denoiser, command, channel, names, channels):
    done = command("enhance", "a.wav", "-m", denoiser, "--channel", channel)
    assert done.out.split() == [f"enhanced/{name}_enhanced.wav" for name in names]
    assert all(soundfile.info(path).channels == channels for path in done.out.split())


@pytest.mark.usefixtures("half")
def test_the_band_above_is_told(stereo, denoiser, command):
    soundfile.write("wide.wav", np.tile(stereo, (3, 1)), 48000)
    for fate, said in (("follow", "attenuated"), ("keep", "kept"), ("drop", "dropped")):
        done = command("enhance", "wide.wav", "-m", denoiser, "--above", fate)
        assert "enhanced up to 4000 Hz" in done.err
        assert said in done.err
        assert soundfile.info("enhanced/wide_enhanced.wav").samplerate == 48000


@pytest.mark.usefixtures("stereo")
def test_silence_stays_silence(denoiser, command):
    soundfile.write("silent.wav", np.zeros((9000, 2)), 44100)
    assert command("enhance", "silent.wav", "-m", denoiser).code == 0
    assert not read("enhanced/silent_enhanced.wav").any()


@pytest.mark.usefixtures("stereo")
def test_a_separator_does_not_enhance(model, command):
    done = command("enhance", "a.wav", "-m", model, "--json")
    assert done.code == 2
    assert "separates 2 talkers" in json.loads(done.out)["error"]
    assert "use cplxsep separate" in done.err


@pytest.mark.usefixtures("stereo")
def test_bad_input_is_told_and_the_rest_is_done(denoiser, command, tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "empty.wav").touch()
    done = command("enhance", "text.wav", "a.wav", "empty.wav", "gone.wav", "-m", denoiser)
    assert done.code == 1
    assert done.out.split() == ["enhanced/a_enhanced.wav"]
    assert sum(line.startswith("error: ") for line in done.err.splitlines()) == 3
    assert command("enhance", "a.wav", "-m", "nowhere").code == 3


@pytest.mark.usefixtures("stereo")
def test_the_report_says_enhance(denoiser, command):
    done = command("enhance", "a.wav", "-m", denoiser, "--json")
    report = json.loads(done.out)
    assert (report["command"], report["done"], len(report["files"])) == ("enhance", 1, 1)


def test_real_run(run_cli, denoiser, examples, tmp_path):
    done = run_cli("enhance", examples / "noisy.wav", "-m", denoiser, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "enhanced/noisy_enhanced.wav\n"), done.stderr
    assert soundfile.info(tmp_path / done.stdout.strip()).frames == 80000


@pytest.mark.usefixtures("stereo")
def test_separate_keeps_no_channels_together(model, command):
    assert command("separate", "a.wav", "-m", model, "--channel", "all").code == 2


def test_more_channels_than_flac_holds_are_told_before_the_work(denoiser, command, tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full((1000, 9), 0.1), 8000)
    done = command("enhance", path, "-m", denoiser, "-o", tmp_path / "out", "--format", "flac")
    assert done.code == 1
    assert "flac holds up to 8 channels, this has 9; use wav" in done.err


@pytest.mark.parametrize(("left", "said"), [(0.5, ""), (0.1, "20 dB softer"), (0.0, "silent now")])
def test_levels_and_a_warning_where_most_was_taken_away(
    stereo, denoiser, command, monkeypatch, left, said
):
    """Regression: a child in wind lost 17 dB without a word."""
    monkeypatch.setattr(SeparationModel, "forward", lambda _, mixture: left * mixture.unsqueeze(1))
    soundfile.write("a.wav", stereo + np.array([0.3, -0.1]), 8000, subtype="FLOAT")
    done = command("enhance", "a.wav", "-m", denoiser, "--json")
    (file,) = json.loads(done.out)["files"]
    assert file["input_level"] == pytest.approx(-20, abs=0.1)  # without the offset
    if left:
        assert file["levels"] == [pytest.approx(-20 + 20 * np.log10(left), abs=0.1)]
    assert (said in done.err) if said else done.err == ""
