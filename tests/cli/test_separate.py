import io
import json
import os
import sys

import numpy as np
import pytest
import soundfile
import torch
from matplotlib.figure import Figure
from standins import copies, without_offset

from cplxsep.engine.blocks import WHOLE
from cplxsep.engine.plot import plot
from cplxsep.engine.separator import Separator
from cplxsep.engine.talker_order import WEAK
from cplxsep.networks.model import SeparationModel
from cplxsep.nn.device import fast_bf16_cpu


def noise(samples: int, channels: int = 1, level: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(samples)
    return (level * rng.standard_normal((samples, channels))).astype(np.float32)


def save(path, audio, rate=8000, subtype="FLOAT"):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype=subtype)
    return path


def load(path):
    return soundfile.read(path, dtype="float32")[0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mirror(monkeypatch):
    """The network gives the mixture twice."""
    monkeypatch.setattr(SeparationModel, "forward", lambda _, mixture: copies(mixture))


def files(folder) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def test_outputs_agree_with_the_python_api(folder, model, command):
    audio = noise(16000 * 11)
    save(folder / "a.wav", audio, 16000)
    done = command("separate", "a.wav", "-m", model, "-o", "out")
    assert done.code == 0
    assert done.out.splitlines() == ["out/a_s1.wav", "out/a_s2.wav"]
    assert "4000 Hz" in done.err
    assert len(done.err.splitlines()) == 1
    expected = Separator.load(model)(audio[:, 0], 16000)
    assert soundfile.info("out/a_s1.wav").samplerate == 16000
    assert soundfile.info("out/a_s1.wav").subtype == "FLOAT"
    for index in range(2):
        assert np.abs(load(f"out/a_s{index + 1}.wav") - expected[index]).max() < 1e-4


def test_default_output_folder_and_the_same_bytes_each_time(folder, model, command):
    save(folder / "a.wav", noise(9000))
    assert command("separate", "a.wav", "-m", model).code == 0
    first = (folder / "separated/a_s1.wav").read_bytes()
    assert command("separate", "a.wav", "-m", model).code == 0
    assert (folder / "separated/a_s1.wav").read_bytes() == first


def test_folders_keep_their_tree_and_take_audio_only(folder, model, command):
    save(folder / "in/a.wav", noise(800))
    save(folder / "in/x/a.flac", noise(800), subtype="PCM_16")
    save(folder / "in/.hidden/a.wav", noise(800))
    (folder / "in/notes.txt").write_text("no audio")
    assert command("separate", "in", "-m", model, "-o", "in/out").code == 0
    again = command("separate", "in", "-m", model, "-o", "in/out", "--format", "flac")
    assert again.out.split() == [
        "in/out/a_s1.flac",
        "in/out/a_s2.flac",
        "in/out/x/a_s1.flac",
        "in/out/x/a_s2.flac",
    ]


def test_globs(folder, model, command):
    for name in ("one/a.wav", "two/a.wav", "two/b.ogg", "[1].wav"):
        save(folder / "in" / name, noise(800), subtype=None if name.endswith("ogg") else "FLOAT")
    done = command("separate", "in/**/a.wav", "-m", model, "--dry-run", "-o", "o")
    assert done.out.split() == [
        f"o/{parent}/a_s{index}.wav" for parent in ("one", "two") for index in (1, 2)
    ]
    assert command("separate", "in/[1].wav", "-m", model, "--dry-run").out.startswith(
        "separated/[1]"
    )
    for pattern in ("in/*.mp3", "nothing/*", "empty"):
        (folder / "empty").mkdir(exist_ok=True)
        done = command("separate", pattern, "in/one", "-m", model)
        assert done.code == 1
        assert len(done.err.splitlines()) == 1
        assert "no audio files" in done.err
        assert len(done.out.splitlines()) == 2


def test_name_template(folder, model, command):
    save(folder / "in/a.wav", noise(800))
    template = "{parent}/{stem}-{source}.{ext}"
    done = command("separate", "in/a.wav", "-m", model, "--name", template, "--format", "ogg")
    assert done.out.split() == ["separated/in/a-s1.ogg", "separated/in/a-s2.ogg"]
    assert soundfile.info(folder / "separated/in/a-s2.ogg").subtype == "VORBIS"
    wrong_ones = ("{stem}.{ext}", "{nothing}_{source}", "../{source}.wav", "{stem", "{source}/")
    for wrong in (*wrong_ones, "{stem[a]}"):
        done = command("separate", "in/a.wav", "-m", model, "--name", wrong)
        assert done.code == 2, wrong
        assert len(done.err.splitlines()) == 1


@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize(
    ("channel", "stems"), [("mix", ["a"]), ("2", ["a"]), ("each", ["a_ch1", "a_ch2"])]
)
def test_channels(folder, model, command, channel, stems):
    audio = noise(4000, 2)
    save(folder / "a.wav", audio)
    done = command("separate", "a.wav", "-m", model, "--channel", channel, "-o", "out")
    assert done.code == 0
    assert files(folder / "out") == {f"{stem}_s{i}.wav" for stem in stems for i in (1, 2)}
    expected = {"mix": [audio.mean(1)], "2": [audio[:, 1]], "each": list(audio.T)}[channel]
    for stem, signal in zip(stems, expected, strict=True):
        heard = without_offset(signal.astype(np.float32), 8000)
        assert np.abs(load(folder / "out" / f"{stem}_s1.wav") - heard).max() < 1e-6


def test_channel_that_is_not_there(folder, model, command):
    save(folder / "a.wav", noise(800))
    assert command("separate", "a.wav", "-m", model, "--channel", "2").code == 1
    for wrong in ("0", "-1", "left"):
        assert command("separate", "a.wav", "-m", model, f"--channel={wrong}").code == 2


def test_output_at_the_models_rate(folder, model, command):
    save(folder / "a.wav", noise(44100), 44100)
    assert command("separate", "a.wav", "-m", model, "--rate", "model", "-o", "out").code == 0
    info = soundfile.info(folder / "out/a_s1.wav")
    assert (info.samplerate, info.frames) == (8000, 8000)


@pytest.mark.parametrize("subtype", ["float", "pcm24"])
def test_sources_sum_to_the_mixture(folder, model, command, subtype):
    audio = noise(44100, level=0.02)
    save(folder / "a.wav", audio, 44100)
    options = ("--sum-to-mix", "--subtype", subtype, "--json", "-o", "out")
    done = command("separate", "a.wav", "-m", model, *options)
    gain = json.loads(done.out)["files"][0]["gain"]
    total = load(folder / "out/a_s1.wav") + load(folder / "out/a_s2.wav")
    assert np.abs(total - gain * audio[:, 0]).max() < 1e-4


def test_pcm_that_would_clip_gets_one_gain_for_all_sources(folder, model, command, monkeypatch):
    scales = torch.tensor([4.0, 0.5])[None, :, None]
    monkeypatch.setattr(SeparationModel, "forward", lambda _, mixture: scales * copies(mixture))
    audio = noise(8000)
    audio *= 0.5 / np.abs(without_offset(audio[:, 0], 8000)).max()
    save(folder / "a.wav", audio)
    heard = without_offset(audio[:, 0], 8000)
    done = command("separate", "a.wav", "-m", model, "--subtype", "pcm16", "-o", "out")
    assert "-6.0 dB" in done.err
    assert len(done.err.splitlines()) == 1
    first, second = load(folder / "out/a_s1.wav"), load(folder / "out/a_s2.wav")
    assert soundfile.info(folder / "out/a_s1.wav").subtype == "PCM_16"
    assert np.abs(first - 2 * heard).max() < 1e-4
    assert np.abs(second - 0.25 * heard).max() < 1e-4
    assert command("separate", "a.wav", "-m", model, "-o", "out").err == ""
    assert np.abs(load(folder / "out/a_s1.wav")).max() == pytest.approx(2.0)
    assert files(folder / "out") == {"a_s1.wav", "a_s2.wav"}


def test_existing_outputs(folder, model, command):
    save(folder / "a.wav", noise(800))
    save(folder / "separated/a_s1.wav", noise(800))
    before = (folder / "separated/a_s1.wav").read_bytes()
    done = command("separate", "a.wav", "-m", model, "--exist", "error")
    assert done.code == 1
    assert "exists" in done.err
    assert files(folder / "separated") == {"a_s1.wav"}
    assert command("separate", "a.wav", "-m", model, "--exist", "skip").code == 0
    assert (folder / "separated/a_s1.wav").read_bytes() != before
    (folder / "separated/a_s1.wav").write_bytes(before)
    done = command("separate", "a.wav", "-m", model, "--exist", "skip", "--json")
    assert json.loads(done.out)["skipped"] == 1
    assert (folder / "separated/a_s1.wav").read_bytes() == before


def test_clashing_names_stop_everything(folder, model, command):
    for name in ("x/a.wav", "y/a.wav", "a.wav", "a_s1.wav"):
        save(folder / name, noise(800))
    (folder / "link.wav").symlink_to("a_s1.wav")
    before = files(folder)
    for arguments in (
        ["x/a.wav", "y/a.wav"],
        ["x/a.wav", "x/a.wav", "y/a.wav"],
        ["a.wav", "a_s1.wav", "-o", "."],
        ["a.wav", "link.wav", "-o", "."],
        ["a.wav", "--report", "a.wav"],
        ["a.wav", "--report", "separated/a_s1.wav"],
        ["a.wav", "--report", "x"],
    ):
        done = command("separate", *arguments, "-m", model)
        assert done.code == 2, arguments
        assert len(done.err.splitlines()) == 1
        assert files(folder) == before
    (folder / "a_s1.wav").write_bytes(b"broken, but an input")
    assert command("separate", "a.wav", "a_s1.wav", "-o", ".", "-m", model).code == 2
    assert command("separate", "x/a.wav", "./x/a.wav", "-m", model).code == 0


def test_dry_run_writes_nothing_and_loads_no_weights(folder, model, command, monkeypatch):
    monkeypatch.setattr(Separator, "load", None)
    save(folder / "a.wav", noise(800))
    done = command("separate", "a.wav", "b.wav", "-m", model, "--dry-run", "--plot")
    assert done.code == 1
    assert done.out.split() == ["separated/a_s1.wav", "separated/a_s2.wav", "separated/a_plot.png"]
    assert files(folder) == {"a.wav"}


def test_report_and_json(folder, model, command):
    save(folder / "a.wav", noise(8000 * 20))
    done = command("separate", "a.wav", "b.wav", "-m", model, "--json", "--report", "r/report.json")
    found = json.loads(done.out)
    assert json.loads((folder / "r/report.json").read_text()) == found
    assert done.code == 1
    assert (found["done"], found["failed"]) == (1, 1)
    first, second = found["files"]
    assert first["outputs"] == ["separated/a_s1.wav", "separated/a_s2.wav"]
    assert [seam["seconds"] for seam in first["seams"]] == [6.0, 12.0]
    assert len(first["levels"]) == 2
    assert second["status"] == "failed"
    assert second["error"] in done.err
    assert found["device"] == "cpu" or found["device"].startswith("cuda")
    assert found["error"] is None


def test_what_keeps_it_from_starting_is_json_too(folder, model, command):
    save(folder / "a.wav", noise(800))
    for arguments, code in (
        (["-m", "nothing"], 3),
        (["-m", model, "--name", "{nothing}"], 2),
        (["-m", model, "--report", "a.wav"], 2),
    ):
        done = command("separate", "a.wav", "--json", *arguments)
        assert done.code == code
        assert json.loads(done.out)["error"] in done.err
        assert len(done.err.splitlines()) == 1


def test_doubtful_joints_are_told_once(folder, model, command, monkeypatch):
    # Both outputs are alike but for chance, so nothing tells who is who.
    calls = iter(range(10**6))

    def alike(_, mixture):
        torch.manual_seed(next(calls))
        return torch.randn(2, *mixture.shape).transpose(0, 1) * 0.1

    monkeypatch.setattr(SeparationModel, "forward", alike)
    save(folder / "a.wav", noise(8000 * 40))
    done = command("separate", "a.wav", "-m", model, "--json", "--device", "cpu")
    (entry,) = json.loads(done.out)["files"]
    weak = [seam for seam in entry["seams"] if seam["confidence"] < WEAK]
    assert entry["weak_seams"] == len(weak) > 0
    (line,) = done.err.splitlines()
    assert f"{len(weak)} of {len(entry['seams'])} joints" in line


@pytest.mark.parametrize(("level", "highest"), [(0.1, 5.1), (0.0, 24)])
def test_plot_shows_the_band_that_holds_something(folder, monkeypatch, level, highest):
    limits = []
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *_, **__: limits.extend(a.get_ylim() for a in self.axes)
    )
    angles = 2 * np.pi * 5000 * np.arange(48000) / 48000
    save(folder / "a.wav", level * np.sin(angles) * np.hanning(48000), 48000)
    save(folder / "low.wav", np.zeros(8000), 8000)
    plot(folder / "a.png", folder / "a.wav", None, {"low": folder / "low.wav"}, WHOLE)
    assert np.allclose(limits, [(0, highest), (0, 4)], atol=0.2)


def test_plot(folder, model, command):
    save(folder / "a.wav", noise(16000, 2), 16000)
    save(folder / "short.wav", noise(1))
    done = command(
        "separate", "a.wav", "short.wav", "-m", model, "--plot", "--name", "{source}/{stem}.{ext}"
    )
    assert done.code == 0
    for name in ("a", "short"):
        path = folder / f"separated/plot/{name}.png"
        assert str(path.relative_to(folder)) in done.out
        assert path.read_bytes().startswith(b"\x89PNG")
        # The mixture and both sources, though their files have one name.
        assert int.from_bytes(path.read_bytes()[20:24], "big") == 660


@pytest.mark.parametrize("name", ["a_$5_and_$6.wav", os.fsdecode(b"b\xff.wav"), "会議.wav"])
def test_plot_of_a_file_with_any_name(folder, model, run_cli, name):
    save(folder / "a.wav", noise(8000)).rename(folder / name)
    done = run_cli("separate", name, "-m", model, "--plot", errors="surrogateescape")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(files(folder / "separated")) == 3


@pytest.mark.usefixtures("mirror")
def test_standard_input(folder, model, command, monkeypatch):
    audio = noise(8000, 2)
    save(folder / "a.wav", audio)

    class Pipe:
        buffer = io.BytesIO((folder / "a.wav").read_bytes())

    monkeypatch.setattr(sys, "stdin", Pipe)
    done = command("separate", "-", "-m", model)
    assert done.out.split() == ["separated/stdin_s1.wav", "separated/stdin_s2.wav"]
    heard = without_offset(audio.mean(1).astype(np.float32), 8000)
    assert np.abs(load(folder / "separated/stdin_s1.wav") - heard).max() < 1e-6
    # What is read more than once, or is no WAV, is stored first.
    soundfile.write(folder / "a.flac", audio, 8000)
    for name, options in (("a.wav", ["--channel", "each", "--plot"]), ("a.flac", [])):
        Pipe.buffer = io.BytesIO((folder / name).read_bytes())
        done = command("separate", "-", "-m", model, "-o", "again", *options)
        assert done.code == 0
        stem = "stdin_ch2" if options else "stdin"
        given = (audio[:, 1] if options else audio.mean(1)).astype(np.float32)
        expected = without_offset(given, 8000)
        assert np.abs(load(folder / f"again/{stem}_s1.wav") - expected).max() < 1e-4
    broken = (folder / "a.wav").read_bytes()[:20000]
    contents = ((b"", "empty"), (b"hello", "not readable audio"), (broken, "broke off after 0.3 s"))
    for content, message in contents:
        Pipe.buffer = io.BytesIO(content)
        done = command("separate", "-", "-m", model)
        assert done.code == 1
        assert "<stdin>" in done.err
        assert message in done.err
        assert "/tmp" not in done.err


@pytest.mark.parametrize("level", [0.001, 100.0])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 3e-2)])
def test_level_passes_through(folder, model, command, level, precision, tolerance):
    audio = noise(8000 * 10, level=0.05)
    save(folder / "a.wav", audio)
    save(folder / "b.wav", level * audio)
    options = ("-m", model, "-o", "out", "--precision", precision)
    assert command("separate", "a.wav", "b.wav", *options).code == 0
    reference = load(folder / "out/a_s1.wav")
    error = np.abs(load(folder / "out/b_s1.wav") / level - reference).max()
    assert error < tolerance * np.abs(reference).max()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--batch", "0"], 2),
        (["--chunk", "0"], 2),
        (["--overlap", "0.6"], 2),
        (["--shifts", "0"], 2),
        (["--shifts", "1.5"], 2),
        (["--device", "tpu"], 2),
        (["--device", "cuda:99"], 4),
        (["--precision", "fp16", "--device", "cpu"], 2),
        (["--precision", "int8"], 2),
        (["--format", "aac"], 2),
    ],
)
def test_wrong_options(folder, model, command, arguments, code):
    save(folder / "a.wav", noise(800))
    done = command("separate", "a.wav", "-m", model, *arguments)
    assert done.code == code
    assert files(folder) == {"a.wav"}
    assert "Traceback" not in done.err
    assert done.out == ""


def test_several_shifts(folder, model, command):
    save(folder / "a.wav", noise(8000))
    found = {}
    for shifts in (1, 2, 2):
        arguments = ("-m", model, "-o", str(shifts), "--shifts", shifts, "--device", "cpu")
        assert command("separate", "a.wav", *arguments).code == 0
        before, found[shifts] = found.get(shifts), load(folder / str(shifts) / "a_s1.wav")
        assert before is None or np.array_equal(before, found[shifts])
    assert 0 < np.abs(found[1] - found[2]).max() < np.abs(found[1]).max()


def test_a_causal_model_takes_no_shifts(folder, command):
    save(folder / "a.wav", noise(8000))
    done = command("enhance", "a.wav", "-m", "dce-denoise-live", "--shifts", "2")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "causal" in done.err


def test_precisions_on_the_cpu(folder, model, command):
    save(folder / "a.wav", noise(8000))
    found = {}
    for precision in ("fp32", "bf16", "auto"):
        arguments = ("separate", "a.wav", "-m", model, "--device", "cpu", "--json")
        done = json.loads(command(*arguments, "--precision", precision).out)
        expected = ("bf16" if fast_bf16_cpu() else "fp32") if precision == "auto" else precision
        assert done["precision"] == expected
        found[precision] = load(folder / "separated/a_s1.wav")
    error = found["bf16"] - found["fp32"]
    assert 0 < np.square(error).sum() < 1e-3 * np.square(found["fp32"]).sum()  # 30 dB
    assert np.array_equal(found["auto"], found[expected])


def test_running_out_of_memory_ends_the_command(folder, model, command, monkeypatch):
    def greedy(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(SeparationModel, "forward", greedy)
    save(folder / "a.wav", noise(8000))
    save(folder / "b.wav", noise(8000))
    done = command("separate", "a.wav", "b.wav", "-m", model, "--report", "r.json")
    assert done.code == 4
    assert len(done.err.splitlines()) == 1
    assert json.loads((folder / "r.json").read_text())["failed"] == 2
    assert files(folder) == {"a.wav", "b.wav", "r.json"}


def test_unusable_models(folder, model, command):
    save(folder / "a.wav", noise(800))
    config = (model / "config.toml").read_text()
    weights = (model / "model.safetensors").read_bytes()
    cases = {
        "misfit": (config.replace("start_maps = 4", "start_maps = 8"), weights, "do not fit"),
        "unknown-key": (config.replace("[model]", "[model]\nwidth = 3"), weights, "width"),
        "no-toml": ("][", weights, "TOML"),
        "cut": (config, weights[:1000], "corrupt"),
    }
    for name, (text, content, message) in cases.items():
        (folder / name).mkdir()
        (folder / name / "config.toml").write_text(text)
        (folder / name / "model.safetensors").write_bytes(content)
        done = command("separate", "a.wav", "-m", name)
        assert done.code == 3, name
        assert message in done.err
        assert len(done.err.splitlines()) == 1
    (folder / "cut/model.safetensors").unlink()
    assert command("separate", "a.wav", "-m", "cut").code == 3
    assert command("separate", "a.wav", "-m", "a.wav").code == 3
    assert "unknown model" in command("separate", "a.wav", "-m", "nothing").err


def test_many_files_share_batches_and_are_told_in_order(folder, model, command):
    """With batches several files are under way at once, as on a GPU."""
    names = [f"{index}.wav" for index in range(12)]
    for index, name in enumerate(names):
        save(folder / name, noise(4000 * (1 + index % 3) + 70000 * (index == 5)))
    (folder / "7.wav").write_text("no audio")
    options = ("-m", model, "--json", "--device", "cpu", "--precision", "fp32")
    alone = json.loads(command("separate", *names, *options, "-o", "alone").out)
    done = command("separate", *names, *options, "-o", "many", "--batch", "4")
    many = json.loads(done.out)
    assert done.code == 1
    assert len(done.err.splitlines()) == 1
    for one, other in zip(alone["files"], many["files"], strict=True):
        assert (one["input"], one["status"]) == (other["input"], other["status"])
        for first, second in zip(one["outputs"], other["outputs"], strict=True):
            assert np.abs(load(first) - load(second)).max() < 1e-5
    assert not [path for path in (folder / "many").iterdir() if path.name.startswith(".")]
