"""Every mode of training: stopped and resumed it ends with the very bits of an unbroken run."""

import signal

import pytest
import torch
from safetensors.torch import load_file

from cplxsep.config import read_config
from cplxsep.model_folder.contents import OF_RUN
from cplxsep.training import checkpoint, curves, run, validate
from cplxsep.training.step import TrainingStep
from cplxsep.training.stop import Stopped

QUICK = [
    "train.steps=4",
    "train.valid_every=2",
    "train.save_every=100",
    "train.compile=false",
    "data.valid_mixtures=2",
]
MODES = {
    "adamw": [],
    "muon": ["optim.optimizer=muon"],
    "sgd": ["optim.optimizer=sgd"],
    "complex-adamw": ["optim.optimizer=complex-adamw"],
    "schedulefree": ["optim.optimizer=schedulefree", "optim.schedule=constant", "optim.ema=0"],
    "prodigy": ["optim.optimizer=prodigy", "optim.lr=1.0"],
    "plain": ["optim.ema=0"],
    "accumulate": ["train.accumulate=2"],
    "bf16": ["train.precision=bf16"],
    "best": ["train.average_best=3"],
    "batch norm": ["model.network=real", "model.transformations=0", "model.dropout=0"],
}
PACKAGES = {"schedulefree": "schedulefree", "prodigy": "prodigyopt"}


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They would take half of the time."""
    monkeypatch.setattr(curves, "draw", lambda *_: None)


def train(config, folder, said=None):
    said = [] if said is None else said
    run.train(config, run.Options(folder, device="cpu"), None, said.append)
    return said


def interrupted(monkeypatch, method, when):
    """Send SIGTERM at the `when`-th call of a function that training makes."""
    calls = iter(range(1, 1000))
    owner, name = method
    before = getattr(owner, name)

    def wrapped(*args, **kwargs):
        if next(calls) == when:
            signal.raise_signal(signal.SIGTERM)
        return before(*args, **kwargs)

    monkeypatch.setattr(owner, name, wrapped)


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_changes_nothing(tiny_config, tmp_path, monkeypatch, mode):
    pytest.importorskip(PACKAGES.get(mode, "torch"))
    config = read_config(tiny_config, [*QUICK, *MODES[mode]])
    train(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupted(patch, (TrainingStep, "_gradients"), 3)
        with pytest.raises(Stopped, match="stopped at step 3"):
            train(config, tmp_path / "parts")
    said = train(config, tmp_path / "parts")
    assert "resumed at step 3" in said
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_a_stop_while_validating(tiny_config, tmp_path, monkeypatch):
    """That validation is made up for; in the last one too."""
    config = read_config(tiny_config, [*QUICK, "train.average_best=2", "data.valid_mixtures=4"])
    train(config, tmp_path / "whole")
    for when in (2, 5):
        with monkeypatch.context() as patch:
            interrupted(patch, (validate, "pit"), when)
            with pytest.raises(Stopped):
                train(config, tmp_path / "parts")
    train(config, tmp_path / "parts")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def assert_same_run(one, other):
    a, b = (checkpoint.load(folder / checkpoint.NAME) for folder in (one, other))
    assert a["progress"]["history"] == b["progress"]["history"]
    for part in ("model", "average"):
        for name, value in a[part].items():
            assert torch.equal(value, b[part][name]), (part, name)
    a, b = (load_file(folder / OF_RUN / "model.safetensors") for folder in (one, other))
    assert all(torch.equal(value, b[name]) for name, value in a.items())


@pytest.fixture
def interruptible():
    """Ctrl-C raises, as in a terminal: where tests run in the background it may be ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_stop_signal_that_comes_twice_is_one_wish_but_a_later_one_is_not(monkeypatch):
    from cplxsep.training import stop

    now = [0.0]
    monkeypatch.setattr(stop.time, "monotonic", lambda: now[0])
    with stop.StopSignals() as asked:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert asked.name == "SIGINT"
        now[0] = 10.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with stop.StopSignals(ignore_second=True) as asked:
        signal.raise_signal(signal.SIGINT)
        now[0] = 20.0
        signal.raise_signal(signal.SIGINT)
    assert asked()


@pytest.mark.usefixtures("interruptible")
def test_a_process_that_an_error_ends_tells_of_it_before_a_signal_ends_it():
    """torchrun signals the others as soon as one has ended: often before its error is told."""
    from cplxsep.training.stop import StopSignals

    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(ZeroDivisionError), StopSignals(ignore_second=True) as asked:
            raise ZeroDivisionError
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        assert asked.name == "SIGTERM"
    finally:
        signal.signal(signal.SIGTERM, before)
    with pytest.raises(ZeroDivisionError), StopSignals():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGTERM) is before


def test_patience_ends_a_run(tiny_config, tmp_path):
    """A learning rate too small to change a score: the first validation stays the best."""
    changes = [*QUICK, "train.steps=100", "train.valid_every=1", "train.patience=2"]
    config = read_config(tiny_config, [*changes, "optim.lr=1e-30", "optim.weight_decay=0"])
    train(config, tmp_path / "run")
    assert checkpoint.load(tmp_path / "run" / checkpoint.NAME)["step"] == 3
    said = train(config, tmp_path / "run")
    assert "resumed at step 3" in said
    assert checkpoint.load(tmp_path / "run" / checkpoint.NAME)["step"] == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["model.level=network"], True),
        (["model.level=network", "train.magnitude=0.1"], False),
        (["model.level=network", "train.loss=sa-sdr"], False),
        ([], False),
    ],
)
def test_a_loss_that_leaves_the_level_open_is_told_where_nothing_else_sets_it(
    tiny_config, tmp_path, changes, told
):
    said = train(read_config(tiny_config, [*QUICK, "train.steps=1", *changes]), tmp_path / "run")
    warned = [line for line in said if "leaves the level of the outputs open" in line]
    assert len(warned) == told
