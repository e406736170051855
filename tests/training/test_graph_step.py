"""A step as one CUDA graph gives what the plain one gives; on a CPU its capture is a plain call."""

import io
import itertools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cplxsep.config import Config
from cplxsep.errors import InputError
from cplxsep.networks.model import SeparationModel
from cplxsep.training import graph_step
from cplxsep.training.clock import Clock
from cplxsep.training.distributed import Ranks
from cplxsep.training.graph_step import GraphStep, training_step
from cplxsep.training.log import Log
from cplxsep.training.state import RunContext, RunState
from cplxsep.training.step import TrainingStep

on_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=on_gpu)]
# Of losses in dB. Products in bfloat16 inside Muon have sums of another order; on a GPU also
# convolutions, in TF32.
TOLERANCE = {"cpu": 0.02, "cuda": 0.1}

DUAL_PATH = {
    "model": {
        "network": "dual-path",
        "level": "network",
        "rates": [8000, 16000],
        "dual_path": {"group": 16, "outer": 8, "channels": [8], "blocks": [1], "states": 4},
    },
    "data": {"seconds": 0.2, "rates": [8000, 16000]},
    "optim": {"optimizer": "muon", "momentum": 0.95, "warmup_steps": 2, "ema": 0.9},
    "train": {"batch": 4, "accumulate": 2, "loss": "floored-snr", "steps": 100},
}
BATCH_NORM = {
    "model": {
        "network": "real",
        "unet": {"start_maps": 4, "levels": 1},
        "extractor": {"transformations": 0},
    },
    "data": {"seconds": 0.2},
    "optim": {"warmup_steps": 2},
    "train": {"batch": 4, "steps": 100},
}

CAUSAL = {
    **DUAL_PATH,
    "model": {
        **DUAL_PATH["model"],
        "dual_path": {**DUAL_PATH["model"]["dual_path"], "causal": True},
    },
}
HEAD = {
    **DUAL_PATH,
    "model": {
        **DUAL_PATH["model"],
        "dual_path": {**DUAL_PATH["model"]["dual_path"], "half_hop": True},
    },
    "optim": {**DUAL_PATH["optim"], "only": ["head_norm", "head", "midway"]},
}
COMPLEX = {
    **BATCH_NORM,
    "model": {
        "network": "complex",
        "unet": {"start_maps": 4, "levels": 1},
        "extractor": {"transformations": 1},
    },
    "optim": {"optimizer": "muon", "momentum": 0.95},
}


class Kept(Log):
    """Keeps the figures of each step, and what is said."""

    def __init__(self):
        self.said, self.steps = [], []
        super().__init__(None, None, self.said.append, 100)

    def step(self, progress, loss, norm, lr):
        self.steps.append((progress.step, loss, norm, lr))


def batches(config, first=0, bad=()):
    """Noise by the number of its step; a NaN in the `bad` ones."""
    for step in itertools.count(first):
        generator = torch.Generator().manual_seed(step)
        rates = config.training_rates
        samples = round(config.data.seconds * rates[step % len(rates)])
        sources = torch.randn(config.train.batch, 2, samples, generator=generator)
        if step in bad:
            sources[0, 0, 0] = math.nan
        yield sources.sum(dim=1), sources


def begin(config, kind, device, saved=None):
    torch.manual_seed(0)
    state = RunState(SeparationModel(config.model).to(device).train(), config.optim)
    if saved is not None:
        state.restore(saved)
    log = Kept()
    ranks = Ranks(device=torch.device(device))
    return state, kind(state, RunContext(config, None, log, ranks)), log


def steps(state, step, stream, until):
    while state.progress.step < until:
        step(stream, until - state.progress.step)


def stored(state, config):
    """What a checkpoint gives back."""
    file = io.BytesIO()
    torch.save(state.to_save(config), file)
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


def assert_alike(found, expected, tolerance):
    """Logs of the same steps."""
    assert [one[0] for one in found.steps] == [one[0] for one in expected.steps]
    for ours, theirs in zip(found.steps, expected.steps, strict=True):
        assert ours[3] == theirs[3]
        if math.isfinite(theirs[1]):
            assert ours[1] == pytest.approx(theirs[1], abs=tolerance)
            assert ours[2] == pytest.approx(theirs[2], rel=max(tolerance, 1e-4))
        else:
            assert not math.isfinite(ours[1])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("values", [DUAL_PATH, HEAD], ids=["all parts", "some parts"])
def test_twenty_steps_of_two_shapes_in_turn(device, values):
    """One of them is not finite."""
    config = Config.model_validate(values)
    (plain, expected), (state, log) = (
        (state, log)
        for state, step, log in (begin(config, kind, device) for kind in (TrainingStep, GraphStep))
        if not steps(state, step, batches(config, bad=[7]), 20)
    )
    assert_alike(log, expected, TOLERANCE[device])
    assert log.said == []
    assert state.progress.bad_steps == plain.progress.bad_steps == 1
    assert state.progress.audio == pytest.approx(plain.progress.audio)
    for name, value in plain.average.state.items():
        torch.testing.assert_close(
            state.average.state[name], value, rtol=0, atol=TOLERANCE[device] / 4
        )


@pytest.mark.parametrize("device", DEVICES)
def test_a_bad_step_changes_nothing(device):
    """Neither weights nor averages nor statistics of batch norm nor states of the optimiser."""
    for values in (DUAL_PATH, BATCH_NORM):
        config = Config.model_validate(values)
        state, step, _ = begin(config, GraphStep, device)
        stream = batches(config, bad=[4])
        steps(state, step, stream, 4)
        before = stored(state, config)
        step(stream, 1)
        after = stored(state, config)
        assert after["progress"]["bad_in_a_row"] == 1
        for part in ("model", "average", "optimizer"):
            for ours, theirs in zip(leaves(after[part]), leaves(before[part]), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def leaves(tree):
    return [leaf for leaf in torch.utils._pytree.tree_leaves(tree) if torch.is_tensor(leaf)]


@pytest.mark.parametrize("device", DEVICES)
def test_adamw_and_batch_norm(device):
    config = Config.model_validate(BATCH_NORM)
    runs = [begin(config, kind, device) for kind in (TrainingStep, GraphStep)]
    for state, step, _ in runs:
        steps(state, step, batches(config, bad=[3]), 8)
    (plain, _, expected), (state, _, log) = runs
    # Biases before batch norm have a gradient of rounding alone, of which AdamW makes whole steps:
    # on a GPU, whose convolutions may be others in a graph, gradients are then 4 % apart.
    assert_alike(log, expected, TOLERANCE[device])
    for name, value in plain.model.state_dict().items():
        found = state.model.state_dict()[name]
        torch.testing.assert_close(found, value, rtol=1e-2, atol=TOLERANCE[device] / 2)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kinds", [(TrainingStep, GraphStep), (GraphStep, TrainingStep)])
def test_either_goes_on_from_the_others_checkpoint(device, kinds):
    """Also one on a CPU from one on a GPU."""
    config = Config.model_validate(DUAL_PATH)
    whole, step, expected = begin(config, TrainingStep, "cpu")
    steps(whole, step, batches(config), 8)
    devices = [device if kind is GraphStep else "cpu" for kind in kinds]
    first, step, log = begin(config, kinds[0], devices[0])
    steps(first, step, batches(config), 4)
    second, step, more = begin(config, kinds[1], devices[1], stored(first, config))
    steps(second, step, batches(config, 4), 8)
    log.steps += more.steps
    assert_alike(log, expected, TOLERANCE[device])
    ours, theirs = (stored(state, config)["optimizer"] for state in (second, whole))
    assert list(ours) == list(theirs)
    for name, part in theirs.items():
        assert ours[name]["param_groups"] == part["param_groups"]
        assert set(ours[name]["state"]) == set(part["state"])


def test_a_run_that_diverges_ends_at_the_same_step():
    values = {**DUAL_PATH, "train": {**DUAL_PATH["train"], "max_bad_steps": 3}}
    config = Config.model_validate(values)
    for kind in (TrainingStep, GraphStep):
        state, step, _ = begin(config, kind, "cpu")
        with pytest.raises(
            InputError, match="4 steps in a row were not finite, the last at step 6"
        ):
            steps(state, step, batches(config, bad=range(2, 100)), 50)
        assert state.progress.step == 6


def test_where_a_capture_fails_it_goes_on_without_and_says_so_once(monkeypatch):
    def failed(step, *_):
        step()
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    config = Config.model_validate(DUAL_PATH)
    plain, step, expected = begin(config, TrainingStep, "cpu")
    steps(plain, step, batches(config), 4)
    monkeypatch.setattr(graph_step, "captured", failed)
    state, step, log = begin(config, GraphStep, "cpu")
    steps(state, step, batches(config), 4)
    assert log.steps == expected.steps  # none left out, none twice
    reason = "operation not permitted when stream is capturing"
    assert log.said == [f"no graph of the training step, it is slower: {reason}"]


def test_the_making_of_graphs_is_no_warm_up(monkeypatch):
    """Regression: two graphs of ten seconds each, and a run of minutes began at the full rate."""
    now = [1000.0]
    monkeypatch.setattr("cplxsep.training.clock.time.monotonic", lambda: now[0])

    def slow(step, *_):
        now[0] += 10.0
        step()
        return step

    monkeypatch.setattr(graph_step, "captured", slow)
    trapezoid = {"schedule": "trapezoid", "warmup_share": 0.05, "lr": 0.01}
    values = {**DUAL_PATH, "optim": trapezoid}
    values["train"] = {**DUAL_PATH["train"], "steps": 10_000}
    config = Config.model_validate(values)
    state, log = RunState(SeparationModel(config.model), config.optim), Kept()
    step = GraphStep(state, RunContext(config, None, log, clock=Clock(1100.0)))
    steps(state, step, batches(config), 4)
    assert now[0] == 1020.0
    assert max(one[3] for one in log.steps) < 0.1 * config.optim.lr


def test_mixtures_of_many_lengths_are_left_to_the_plain_step():
    config = Config.model_validate(BATCH_NORM)
    state, step, log = begin(config, GraphStep, "cpu")
    stream = (
        (sound[:, n:], sources[..., n:]) for n, (sound, sources) in enumerate(batches(config))
    )
    steps(state, step, stream, 7)
    assert [one[0] for one in log.steps] == list(range(1, 8))
    assert log.said == [
        "no graph of the training step, it is slower: batches have more than 4 shapes"
    ]


class Asked(TorchDispatchMode):
    """Notes operators for which the host waits or brings data of its own: no graph holds them."""

    HOST = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select", "is_nonzero", "equal")

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        of_bools = name.startswith("index") and any(
            torch.is_tensor(part) and part.dtype == torch.bool
            for part in torch.utils._pytree.tree_leaves(args[1:])
        )
        if name in self.HOST or of_bools:
            self.found.add(name)
        return function(*args, **(kwargs or {}))


LOSSES = [
    {"loss": "floored-snr", "magnitude": 1.0},
    {"loss": "si-sdr"},
    {"loss": "sa-sdr"},
    {"loss": "csim-code"},
    {"loss": "l2-time-code"},
]


@pytest.mark.parametrize("values", [DUAL_PATH, BATCH_NORM, CAUSAL, COMPLEX])
def test_the_host_is_asked_nothing_within_a_step(values):
    """Once all is made that stays; so its capture works. Also at the second of two rates."""
    for changes in LOSSES if values is COMPLEX else LOSSES[:1]:
        train = {**values["train"], **changes, "accumulate": 1}
        config = Config.model_validate({**values, "train": train})
        state, step, _ = begin(config, GraphStep, "cpu")
        steps(state, step, batches(config), 2)
        (rate, *_), replay = list(step.replays.items())[-1]
        with Asked() as asked:
            step._step(rate, replay.mixtures, replay.sources)
        assert not asked.found, changes


def test_where_a_graph_is_made(monkeypatch):
    """Nowhere but for one process on a GPU, of what a graph holds."""
    monkeypatch.setattr(graph_step, "GraphStep", lambda *_: "graph")

    def chosen(values, device="cuda", **changes):
        sections = {name: {**values[name], **changes.get(name, {})} for name in values}
        config = Config.model_validate(sections)
        state = RunState(SeparationModel(config.model), config.optim)
        ranks = Ranks(device=torch.device(device))
        return training_step(state, RunContext(config, None, Kept(), ranks))

    assert chosen(DUAL_PATH) == "graph"
    assert chosen(BATCH_NORM) == "graph"
    assert isinstance(chosen(DUAL_PATH, "cpu"), TrainingStep)
    assert isinstance(chosen(DUAL_PATH, optim={"optimizer": "sgd"}), TrainingStep)
    lengths = {"seconds": 0, "valid_seconds": 0, "mixtures": "folder"}
    assert isinstance(chosen(BATCH_NORM, data=lengths), TrainingStep)
    dropout = {"network": "complex", "extractor": {"transformations": 1, "dropout": 0.1}}
    assert isinstance(chosen(BATCH_NORM, model=dropout), TrainingStep)
