"""Commands on a CUDA device: what they write there is what they write on a CPU."""

import json

import numpy as np
import pytest
import soundfile
import torch
from standins import TWO_RATES, checkpoint, tiny_model

from cplxsep.nn import backends

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
PLAIN = ("model.extractor.transformations=0", "model.extractor.dropout=0")
DUAL_PATH = ("model.network='dual-path'", "model.level='network'", "train.loss='floored-snr'")
SMALL = ("model.dual_path.outer=8", "model.dual_path.channels=[16]", "model.dual_path.blocks=[2]")
TASNET = (
    *("model.network='conv-tasnet'", "model.tasnet.filters=16", "model.tasnet.bottleneck=16"),
    *("model.tasnet.hidden=16", "model.tasnet.layers=2", "model.tasnet.stacks=1"),
)


@pytest.fixture(autouse=True)
def plain_afterwards():
    yield
    backends.disable()


@pytest.fixture(params=["u-net", "dual-path"])
def network(request, tmp_path):
    """A checkpoint folder of each network that has an inference form."""
    if request.param == "u-net":
        return tiny_model(tmp_path / "u-net")
    return checkpoint(tmp_path / "dual-path", TWO_RATES)


def recordings(folder, count, seconds, rate=8000):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        audio = 0.1 * rng.standard_normal(round(rate * (seconds + 0.4 * (number % 4))))
        soundfile.write(folder / f"r{number:02d}.wav", audio, rate, subtype="FLOAT")
    return folder


def snr(expected, found):
    """In dB, of two files."""
    a, b = (soundfile.read(path)[0] for path in (expected, found))
    assert a.shape == b.shape
    return 10 * np.log10((a**2).sum() / max(((a - b) ** 2).sum(), 1e-30))


@pytest.mark.parametrize(("precision", "least"), [("fp32", 60), ("bf16", 20)])
def test_separate_writes_what_it_writes_on_a_cpu(command, tmp_path, network, precision, least):
    given = recordings(tmp_path / "in", 12, 9.0)
    how = ("separate", given, "-m", network, "--json")
    done = command(*how, "-o", tmp_path / "cpu", "--device", "cpu", "--precision", "fp32")
    assert done.code == 0, done.err
    options = ("--device", "cuda", "--precision", precision)
    done = command(*how, "-o", tmp_path / "gpu", *options)
    assert done.code == 0, done.err
    assert "cuda" in json.loads(done.out)["device"]
    names = sorted(path.name for path in (tmp_path / "cpu").rglob("*.wav"))
    assert len(names) == 24
    assert all(snr(tmp_path / "cpu" / name, tmp_path / "gpu" / name) > least for name in names)


def test_many_short_files_of_many_lengths(command, tmp_path):
    folder, model = tmp_path / "in", checkpoint(tmp_path / "model", TWO_RATES)
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(120):
        audio = 0.1 * rng.standard_normal(3000 + 700 * (number % 23))
        soundfile.write(folder / f"r{number:03d}.wav", audio, 8000)
    done = command("separate", folder, "-m", model, "-o", tmp_path / "out", "--device", "cuda")
    assert done.code == 0, done.err
    assert len(list((tmp_path / "out").rglob("*.wav"))) == 240


@pytest.mark.parametrize("rate", [8000, 44100])
def test_enhance_writes_what_it_writes_on_a_cpu(command, tmp_path, rate):
    model = tiny_model(tmp_path / "model", sources=1, task="enhancement")
    audio = 0.1 * np.random.default_rng(0).standard_normal((20 * rate, 2))
    soundfile.write(tmp_path / "a.wav", audio, rate, subtype="FLOAT")
    how = ("enhance", tmp_path / "a.wav", "-m", model, "--precision", "fp32")
    for device in ("cpu", "cuda"):
        done = command(*how, "-o", tmp_path / device, "--device", device)
        assert done.code == 0, done.err
    found = (tmp_path / device / "a_enhanced.wav" for device in ("cpu", "cuda"))
    assert snr(*found) > 60


@pytest.mark.parametrize(
    "changes", [(), (*DUAL_PATH, *SMALL, *PLAIN), (*TASNET, *PLAIN)], ids=["u-net", "new", "tas"]
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_train_trains_and_goes_on(command, tiny_config, tmp_path, changes, precision):
    run = tmp_path / "run"
    arguments = ["train", "--config", tiny_config, "--run-dir", run, "--device", "cuda"]
    # Compiled kernels take their time: once is enough.
    compiled = str(not changes and precision == "bf16").lower()
    for change in (*changes, f"train.precision='{precision}'", f"train.compile={compiled}"):
        arguments += ["--set", change]
    done = command(*arguments, "--max-steps", 6)
    assert done.code == 0, done.err
    done = command(*arguments)
    assert done.code == 0, done.err
    assert "resumed at step 6" in done.err
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "valid_si_sdr_i" in line][-1] == 12
    assert all(np.isfinite(line["valid_si_sdr_i"]) for line in log if "valid_si_sdr_i" in line)
    given = recordings(tmp_path / "in", 1, 3.0)
    for device in ("cpu", "cuda"):
        how = ("-m", run / "model", "-o", tmp_path / device, "--device", device)
        done = command("separate", given, *how, "--precision", "fp32")
        assert done.code == 0, done.err
    for name in ("r00_s1.wav", "r00_s2.wav"):
        assert snr(tmp_path / "cpu" / name, tmp_path / "cuda" / name) > 50


def test_too_little_memory_for_one_chunk_is_one_line_and_exit_code_4(command, tmp_path):
    model = checkpoint(tmp_path / "model", TWO_RATES)
    given = recordings(tmp_path / "in", 1, 320.0)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**26) / total)
    try:
        how = ("-m", model, "-o", tmp_path / "out", "--device", "cuda", "--chunk", 300)
        done = command("separate", given, *how)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert done.code == 4
    assert "shorter --chunk" in done.err
    assert "Traceback" not in done.err
    assert not list((tmp_path / "out").glob("*.wav"))
