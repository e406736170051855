"""`cplxsep train` with its steps as on a GPU, and there."""

import pytest
import torch
from tiny_run import CONFIG

from cplxsep.training import curves, graph_step, loop
from cplxsep.training.graph_step import GraphStep

DUAL_PATH = """
[model]
network = "dual-path"
level = "network"
dual_path = {group = 16, outer = 8, channels = [8], blocks = [1], states = 4}
[data]
"""
EAGER = ("--device", "cpu", "--set", "train.compile=false", "--set", "model.extractor.dropout=0")


@pytest.fixture(name="as_graphs")
def made_as_graphs(monkeypatch):
    """`train` makes its steps as on a GPU."""
    monkeypatch.setattr(loop, "training_step", GraphStep)
    monkeypatch.setattr(curves, "draw", lambda *_: None)


@pytest.mark.usefixtures("as_graphs")
def test_a_whole_run_validates_and_saves_when_due(command, tiny_config, tmp_path):
    done = command("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER)
    assert done.code == 0, done.err
    told = [line.partition(":")[0] for line in done.err.splitlines() if "valid SI-SDR" in line]
    assert told[:3] == ["step 5", "step 10", "step 12"]


@pytest.mark.usefixtures("as_graphs")
def test_too_little_memory_for_a_graph_is_one_line(command, tiny_config, tmp_path, monkeypatch):
    """Also where the end of the capture fails in its own way after it."""

    def short(*_):
        try:
            raise torch.OutOfMemoryError("CUDA out of memory")
        except torch.OutOfMemoryError:
            raise RuntimeError("CUDA error: operation failed")  # noqa: B904

    monkeypatch.setattr(graph_step, "captured", short)
    done = command("train", "--config", tiny_config, "--run-dir", tmp_path / "run", *EAGER)
    assert done.code == 4
    assert done.err.splitlines()[-1] == (
        "error: out of memory on cpu with train.batch = 2: raise train.accumulate, or lower "
        "train.batch or data.seconds"
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(
    ("network", "optimizer"),
    [("tiny", "adamw"), ("paper", "adamw"), ("paper", "sgd"), ("conv-tasnet", "adamw")],
)
def test_two_steps_of_other_networks_on_a_gpu(network, optimizer, command, tiny_speech, tmp_path):
    """As graphs and without; the paper's with compiled norms, or a line on why not."""
    changes = ["model.extractor.dropout=0"]
    if network == "conv-tasnet":
        pytest.importorskip("torchaudio")
        changes = ["model.network=conv-tasnet", "model.extractor.transformations=0"]
        changes += ["model.extractor.dropout=0", "model.tasnet.layers=2", "model.tasnet.stacks=1"]
    elif network == "paper":
        changes += ["model.unet.residual_blocks=1", "model.unet.levels=4"]
    config = tmp_path / "tiny.toml"
    config.write_text(CONFIG.format(speech=tiny_speech))
    changes.append(f"train.compile={str(network == 'paper').lower()}")
    sets = [part for change in changes for part in ("--set", change)]
    more = ("--device", "cuda", "--max-steps", "2", "--set", f"optim.optimizer={optimizer}")
    arguments = ("train", "--config", config, "--run-dir", tmp_path / "run")
    done = command(*arguments, *more, *sets)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_too_little_memory_of_a_gpu_is_one_line(command, tiny_config, tmp_path):
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        arguments = ("--config", tiny_config, "--run-dir", tmp_path / "run", "--device", "cuda")
        changes = ("--set", "train.batch=64", "--set", "model.extractor.dropout=0")
        done = command("train", *arguments, *changes)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert done.code == 4
    assert done.err.splitlines()[-1].startswith(
        "error: out of memory on cuda with train.batch = 64"
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_run_on_a_gpu_in_two_pieces(command, tiny_config, tmp_path):
    """As graphs, with no line that they could not be made; the second goes on on the CPU."""
    tiny_config.write_text(DUAL_PATH + tiny_config.read_text().partition("[data]")[2])
    arguments = ("train", "--config", tiny_config, "--run-dir", tmp_path / "run")
    done = command(*arguments, "--device", "cuda", "--max-steps", "7")
    assert done.code == 0, done.err
    assert "no graph" not in done.err
    done = command(*arguments, *EAGER[:4])
    assert done.code == 0, done.err
    assert "resumed at step 7" in done.err
