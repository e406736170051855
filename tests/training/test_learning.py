"""Training lowers every loss; bad steps change nothing and end a hopeless run."""

import json
import math

import numpy as np
import pytest
import torch

from cplxsep.config import Config
from cplxsep.errors import InputError, UsageError
from cplxsep.losses import SPECTRAL, WAVEFORM
from cplxsep.networks.model import SeparationModel
from cplxsep.training import checkpoint
from cplxsep.training.log import EVERY, LOG, Log
from cplxsep.training.loop import Trainer
from cplxsep.training.objective import Objective
from cplxsep.training.optim import build_optimizers
from cplxsep.training.progress import Progress
from cplxsep.training.state import RunContext, RunState

SMALL = {"start_maps": 8, "levels": 2, "transformations": 1}


class Two:
    """The same two mixtures of the shipped references, again and again."""

    def __init__(self, sources):
        self.sources = sources

    def example(self, index):
        sources = self.sources[index % 2]
        return sources.sum(axis=0), sources


@pytest.fixture(scope="module")
def two_mixtures(examples):
    import soundfile

    parts = [soundfile.read(examples / f"two_talkers_s{n}.wav", dtype="float32")[0] for n in (1, 2)]
    sources = np.stack(parts)
    return Two([sources[:, 8000:11000], sources[:, 14000:17000]])


REAL = {"network": "real", "transformations": 0}
PATCHES = {"patch": 2, "drop_nyquist": True}
WAYS = [
    *({"loss": loss} for loss in [*SPECTRAL, *WAVEFORM]),
    *({"loss": loss, "model": REAL} for loss in [*SPECTRAL, *WAVEFORM]),
    {"optimizer": "muon", "model": PATCHES},
    {"optimizer": "muon", "model": PATCHES, "autocast": torch.bfloat16},
    {"optimizer": "muon", "model": REAL},
    {"optimizer": "sgd", "lr": 0.01},
    {"optimizer": "complex-adamw"},
    {"optimizer": "schedulefree", "schedule": "constant"},
    {"optimizer": "prodigy", "lr": 1.0, "schedule": "constant"},
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(map(str, way.values())))
def test_a_few_steps_lower_the_loss(two_mixtures, way):
    torch.manual_seed(0)
    config = Config(
        model={**SMALL, **way.get("model", {})},
        train={"loss": way.get("loss", "si-sdr")},
        optim={
            "optimizer": way.get("optimizer", "adamw"),
            "lr": way.get("lr", 3e-3),
            "schedule": way.get("schedule", "cosine"),
        },
    )
    if way.get("optimizer") in ("schedulefree", "prodigy"):
        pytest.importorskip({"prodigy": "prodigyopt"}.get(way["optimizer"], "schedulefree"))
    model = SeparationModel(config.model).train()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    objective = Objective(config.train)
    optimizer = build_optimizers(model, config.optim)
    optimizer.set_mode(training=True)
    pairs = [two_mixtures.example(index) for index in range(2)]
    mixtures = torch.stack([torch.from_numpy(mixture) for mixture, _ in pairs])
    sources = torch.stack([torch.from_numpy(source) for _, source in pairs])
    values = []
    for _ in range(12):
        value = objective(model, mixtures, sources, way.get("autocast"))
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        values.append(value.item())
    assert min(values[-3:]) < values[0]
    # Every kernel moved: none is left out, or updated in a copy.
    for name, parameter in model.named_parameters():
        assert parameter.dim() < 3 or not torch.equal(parameter, start[name]), name


def trainer(tmp_path, examples, model=SMALL, **train):
    config = Config(
        model=model,
        data={"valid_mixtures": 2},
        train={"batch": 2, "steps": 200, "max_bad_steps": 3, **train},
    )
    torch.manual_seed(0)
    state = RunState(SeparationModel(config.model), config.optim)
    context = RunContext(config, tmp_path, Log(tmp_path, None, lambda _: None, 200))
    return Trainer(state, context, [examples], examples)


class Poisoned(Two):
    """NaN from the third step on."""

    def example(self, index):
        mixture, sources = super().example(index)
        return (mixture * np.nan if index >= 4 else mixture), sources


def test_bad_steps_are_counted_and_end_the_run(two_mixtures, tmp_path):
    run = trainer(tmp_path, Poisoned(two_mixtures.sources))
    message = "diverged: 4 steps in a row were not finite, the last at step 6"
    with pytest.raises(InputError, match=message):
        run.run(200)
    assert all(value.isfinite().all() for value in run.state.model.state_dict().values())


@pytest.mark.parametrize("model", [SMALL, {**SMALL, **REAL}])
def test_a_bad_step_leaves_the_weights(two_mixtures, tmp_path, model):
    """With the real twin: batch norm's running statistics too."""
    run = trainer(tmp_path, Poisoned(two_mixtures.sources), model)
    mixture, sources = run.examples[0].example(4)
    before = {name: value.clone() for name, value in run.state.model.state_dict().items()}
    run.step(iter([(torch.from_numpy(mixture)[None], torch.from_numpy(sources)[None])]))
    assert run.state.progress.bad_steps == 1
    for name, value in run.state.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_steps_without_a_finite_loss_have_none_in_the_log(tmp_path):
    """Regression: they were logged with a loss of 0, the best that there is for some losses."""
    with Log(tmp_path, None, lambda _: None, 200) as log:
        log.step(Progress(step=EVERY, audio=1.0, busy=1.0), math.nan, math.nan, 1e-3)
    assert json.loads((tmp_path / LOG).read_text())["loss"] is None


class OfAnotherRate(Two):
    """From the third step on a mixture that cannot be taken."""

    def example(self, index):
        if index >= 4:
            raise UsageError("it has 16000 Hz")
        return super().example(index)


def test_a_mixture_that_cannot_be_taken_ends_the_run_with_a_checkpoint(two_mixtures, tmp_path):
    """Regression: of one with another sampling rate, the steps since the last one were lost."""
    run = trainer(tmp_path, OfAnotherRate(two_mixtures.sources))
    with pytest.raises(UsageError, match="it has 16000 Hz"):
        run.run(200)
    assert checkpoint.load(tmp_path / checkpoint.NAME)["step"] == 2


def test_average_follows_slowly_and_exactly():
    from cplxsep.training.averages import RunningAverage

    model = torch.nn.Linear(2, 1)
    average = RunningAverage(model, 0.5)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.weight += 1
    average.update(model, 10_000)
    torch.testing.assert_close(average.state["weight"], start["weight"] + 0.5)
    torch.testing.assert_close(average.state["bias"], start["bias"])
