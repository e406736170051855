"""Three processes, or a batch in parts, make the steps that one process makes of the whole batch.

Run by torchrun (`__main__`), this file is one of the three processes. Two of the command itself are
in tests/cli; three are harder, as their sums depend on the order.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from cplxsep.config import read_config
from cplxsep.errors import UsageError
from cplxsep.training import checkpoint, run
from cplxsep.training.batches import batches
from cplxsep.training.distributed import Ranks
from cplxsep.training.stop import Stopped

COMMON = ["train.batch=6", "train.valid_every=2", "train.compile=false"]
# One step, of SGD, which is in proportion to the gradient: equal weights mean equal gradients. The
# activation has no kinks: CReLU's gradient depends on the last digit of maps near zero: weights
# changed by 1e-7 gave steps 1e-5 to 2e-4 apart with it, 1e-6 with this.
SGD = ["optim.optimizer=sgd", "optim.lr=0.1", "optim.warmup_steps=0", "model.dropout=0.5"]
SGD += ["model.activation=cardioid"]
MODES = {
    "one step": [*COMMON, *SGD, "train.steps=1"],
    "loss of the whole batch": [
        *(*COMMON, *SGD, "train.steps=1"),
        *("train.loss=csim-code", "train.csim_imag=10.0", "train.pit=batch"),
    ],
    "everything": [
        *(*COMMON, "train.steps=4", "train.accumulate=2", "train.average_best=2"),
        "optim.optimizer=muon",
    ],
}


def train(config, folder, **options):
    said = []
    run.train(config, run.Options(folder, device="cpu", **options), None, said.append)
    return said


def complete(config_file, folder):
    """One step of complete mixtures, which are of different lengths."""
    changes = [f"data.mixtures='{folder / 'mixes'}'", "data.seconds=0", "data.valid_seconds=0"]
    return read_config(config_file, [*MODES["one step"], *changes])


def write_mixtures(folder):
    rng = np.random.default_rng(0)
    for split in ("tr", "cv"):
        for number in range(4):
            sources = 0.1 * rng.standard_normal((2, 2000 + 1500 * number))
            for name, audio in zip(("mix", "s1", "s2"), (sources.sum(0), *sources), strict=True):
                path = folder / split / name / f"{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, audio, 8000, subtype="FLOAT")


def as_one_of_three(config_file, folder):
    """Each mode in one go, the last in parts too; then one is given another configuration, and
    another is asked to stop.
    """
    torch.distributed.init_process_group("gloo")
    rank = torch.distributed.get_rank()
    said = {}
    for mode, changes in MODES.items():
        config = read_config(config_file, changes)
        said[mode] = train(config, folder / mode)
    train(complete(config_file, folder), folder / "complete")
    train(config, folder / "parts", max_steps=1)
    train(config, folder / "parts")
    other = read_config(config_file, [*changes, f"optim.lr=0.0{rank % 2 + 1}"])
    try:
        train(other, folder / "unlike")
    except (UsageError, SystemExit) as error:
        said["unlike"] = [type(error).__name__, str(error)]
    if rank == 1:
        from cplxsep.training.step import TrainingStep

        whole = TrainingStep._gradients

        def signalled(*args):
            signal.raise_signal(signal.SIGTERM)
            return whole(*args)

        TrainingStep._gradients = signalled
    try:
        train(config, folder / "stopped")
    except Stopped as stop:
        said["stopped"] = [str(stop)]
    with open(folder / f"said{rank}.json", "w", encoding="utf-8") as file:
        json.dump(said, file)


@pytest.fixture(scope="module")
def three(tmp_path_factory, tiny_speech):
    """Folder with what three processes left."""
    from tiny_run import CONFIG

    folder = tmp_path_factory.mktemp("three")
    (folder / "tiny.toml").write_text(CONFIG.format(speech=tiny_speech))
    write_mixtures(folder / "mixes")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3"]
    done = subprocess.run(
        [*torchrun, __file__, folder / "tiny.toml", folder],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def weights(folder):
    return checkpoint.load(folder / checkpoint.NAME)["model"]


def furthest(a, b):
    return max((a[name] - b[name]).abs().max().item() for name in a)


@pytest.mark.parametrize("mode", ["one step", "loss of the whole batch"])
def test_a_step_of_three_processes_is_that_of_one(three, tmp_path, mode):
    config = read_config(three / "tiny.toml", MODES[mode])
    train(config, tmp_path)
    one, both = (checkpoint.load(f / checkpoint.NAME) for f in (tmp_path, three / mode))
    assert furthest(one["model"], both["model"]) < 1e-5
    assert furthest(one["model"], weights_at_start(config)) > 1e-2
    [(_, score)], [(_, other)] = one["progress"]["history"], both["progress"]["history"]
    assert score == pytest.approx(other, abs=1e-3)
    assert one["progress"]["audio"] == both["progress"]["audio"]


def test_complete_mixtures_are_filled_up_to_the_longest_of_all_processes(three, tmp_path):
    """Regressions: each process filled up to the longest of its own, which changed the step; and
    the validation of complete mixtures was of what filled them up too.
    """
    train(complete(three / "tiny.toml", three), tmp_path)
    one, both = (checkpoint.load(f / checkpoint.NAME) for f in (tmp_path, three / "complete"))
    assert furthest(one["model"], both["model"]) < 1e-5
    [(_, score)], [(_, other)] = one["progress"]["history"], both["progress"]["history"]
    assert score == pytest.approx(other, abs=1e-3)
    assert one["progress"]["audio"] == both["progress"]["audio"]


def weights_at_start(config):
    from cplxsep.networks.model import SeparationModel

    torch.manual_seed(config.train.seed)
    return SeparationModel(config.model).state_dict()


def test_three_processes_resume_exactly(three):
    """Gradients keep their place in a message from the first step on, or rounding would differ."""
    whole, parts = weights(three / "everything"), weights(three / "parts")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_only_the_first_process_tells(three):
    first, second = (json.loads((three / f"said{rank}.json").read_text()) for rank in (0, 1))
    assert any("valid SI-SDR" in line for line in first["one step"])
    assert second["one step"] == []


def test_processes_of_different_configurations_do_not_begin(three):
    first, second = (json.loads((three / f"said{rank}.json").read_text()) for rank in (0, 1))
    assert first["unlike"][0] == "UsageError"
    assert first["unlike"][1].startswith("the processes were given different configurations")
    assert second["unlike"] == ["SystemExit", "2"]
    assert not (three / "unlike").exists()


def test_one_process_that_is_asked_to_stop_stops_all(three):
    first, second = (json.loads((three / f"said{rank}.json").read_text()) for rank in (0, 1))
    assert first["stopped"] == second["stopped"] == ["stopped at step 1, checkpoint written"]
    assert checkpoint.load(three / "stopped" / checkpoint.NAME)["step"] == 1


def test_a_batch_in_parts_is_the_same_step(tiny_config, tmp_path):
    """With dropout: each part draws what the whole batch would."""
    for parts in (1, 2, 6):
        changes = [*MODES["one step"], f"train.accumulate={parts}", "data.valid_mixtures=1"]
        train(read_config(tiny_config, changes), tmp_path / str(parts))
    for parts in (2, 6):
        assert furthest(weights(tmp_path / "1"), weights(tmp_path / str(parts))) < 1e-5


def test_shares_are_the_batch():
    assert [Ranks(rank, 3).share(6) for rank in range(3)] == [range(2), range(2, 4), range(4, 6)]
    with pytest.raises(UsageError, match=r"train.batch = 6 must be a multiple of 4 processes"):
        Ranks(0, 4).share(6)
    with pytest.raises(UsageError, match=r"2 processes x train.accumulate = 2"):
        Ranks(0, 2).share(6, 2)


class Numbers:
    """Examples that are their own index."""

    def example(self, index):
        return np.full(3, index, np.float32), np.full((2, 3), index, np.float32)


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_come_in_order_whoever_makes_them(workers):
    stream = batches([Numbers()], 5, 4, share=range(2, 4), workers=workers)
    for step in range(5, 15):
        mixtures, sources = next(stream)
        assert mixtures[:, 0].tolist() == [4 * step + 2, 4 * step + 3]
        assert sources.shape == (2, 2, 3)
    stream.close()


if __name__ == "__main__":
    as_one_of_three(Path(sys.argv[1]), Path(sys.argv[2]))
