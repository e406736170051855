"""Learning-rate schedules, and the end of a run by the clock."""

import pytest

from cplxsep.config import Config, OptimConfig, TrainConfig, read_config
from cplxsep.training import checkpoint, curves, run
from cplxsep.training.clock import Clock
from cplxsep.training.schedule import lr_at
from cplxsep.training.state import RunContext
from cplxsep.training.step import TrainingStep


def rates(steps, train=None, **optim):
    config = OptimConfig(**{"lr": 1.0, "warmup_steps": 10, "final_lr": 0.1, **optim})
    train = TrainConfig(**{"steps": 1000, **(train or {})})
    return [lr_at(step, config, train) for step in steps]


@pytest.mark.parametrize("schedule", ["cosine", "constant", "linear-decay"])
def test_warm_up_is_linear(schedule):
    assert rates([0, 4, 9], schedule=schedule, decay_steps=100) == pytest.approx(
        [0.1, 0.5, 1.0], rel=1e-4
    )


def test_cosine_passes_the_middle_and_ends_at_the_floor():
    middle, end = rates([505, 1000], schedule="cosine")
    assert middle == pytest.approx(0.55, abs=1e-6)
    assert end == pytest.approx(0.1)


def test_linear_decay_starts_late():
    flat, middle, end = rates([800, 900, 1000], schedule="linear-decay", decay_steps=200)
    assert (flat, end) == (1.0, pytest.approx(0.1))
    assert middle == pytest.approx(0.55)


def test_the_papers_schedule_by_epochs():
    at = [0, 9, 10, 99, 100, 119, 120, 149, 150, 199]
    steps = [epoch * 7 for epoch in at]
    code = [0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3, 1e-4, 1e-4]
    text = [0.01, 0.01, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01, 1e-3, 1e-3]
    for name, expected in (("paper", text), ("paper-code", code)):
        assert rates(steps, schedule=name, optimizer="sgd", train={"epoch_steps": 7}) == expected


def test_a_trapezoid_is_by_shares_of_any_number_of_steps():
    """TEMPORAL.md section 6: up in 3 % of the run, flat to 65 %, then down to the floor."""
    for steps in (100, 1000, 18304):
        at = [round(share * steps) - 1 for share in (0.01, 0.03, 0.65, 0.825, 1)]
        first, warm, flat, middle, end = rates(at, {"steps": steps}, schedule="trapezoid")
        assert first == pytest.approx(1 / 3, rel=0.01)
        assert (warm, flat) == (pytest.approx(1, rel=0.02), pytest.approx(1, abs=1e-3))
        assert middle == pytest.approx(0.55, abs=0.02)
        assert end == pytest.approx(0.1)


def test_a_trapezoid_by_the_clock_is_by_whichever_end_comes_first():
    config = OptimConfig(lr=1.0, schedule="trapezoid", warmup_share=0.1, decay_share=0.5)
    train = TrainConfig(steps=100, minutes=2)
    times = {0.0: 0.1, 6.0: 0.5, 12.0: 1.0, 60.0: 1.0, 90.0: 0.51, 120.0: 0.02, 130.0: 0.02}
    for busy, rate in times.items():
        assert lr_at(0, config, train, busy) == pytest.approx(rate, abs=1e-6)
    assert lr_at(74, config, train, 60.0) == pytest.approx(0.51)


def test_a_run_by_the_clock_ends_with_its_decay_also_in_pieces(tiny_config, tmp_path, monkeypatch):
    """Each step is made to last 3 s of the 20 s."""
    monkeypatch.setattr(curves, "draw", lambda *_: None)
    one = TrainingStep.__call__
    rates = []

    def timed(self, *args):
        before = self.state.progress.busy
        found = one(self, *args)
        self.state.progress.busy = before + 3.0
        rates.append(self.state.optimizers.parts["adamw"].param_groups[0]["lr"])
        return found

    monkeypatch.setattr(TrainingStep, "__call__", timed)
    changes = ["optim.schedule=trapezoid", f"train.minutes={20 / 60}", "train.steps=1000"]
    config = read_config(tiny_config, [*changes, "train.compile=false", "data.valid_mixtures=2"])
    for options in ({"max_steps": 4}, {}):
        run.train(config, run.Options(tmp_path / "run", device="cpu", **options), None, print)
    state = checkpoint.load(tmp_path / "run" / checkpoint.NAME)
    assert state["step"] == 7  # the first after 20 s
    assert state["progress"]["history"][-1][0] == 7
    assert rates == [lr_at(n, config.optim, config.train, 3.0 * n) for n in range(7)]
    assert rates[-1] < 0.4 * rates[3]
    said = []
    run.train(config, run.Options(tmp_path / "run", device="cpu"), None, said.append)
    assert "resumed at step 7, which is the last" in said


def test_max_minutes_is_where_the_decay_of_a_trapezoid_ends(monkeypatch):
    """Unless train.minutes says how long the run is: then they are one piece of it."""
    now = [1000.0]
    monkeypatch.setattr("cplxsep.training.clock.time.monotonic", lambda: now[0])

    def rates(**sections):
        config = Config.model_validate(sections)
        context = RunContext(config, None, None, clock=Clock(1100.0))
        found = []
        for now[0] in (1000.0, 1010.0, 1050.0, 1075.0, 1100.0):
            found.append(lr_at(0, config.optim, config.train, 0.0, context.elapsed()))
        return found

    trapezoid = {"lr": 1.0, "schedule": "trapezoid", "warmup_share": 0.1, "decay_share": 0.5}
    first, *later = rates(optim=trapezoid)
    assert first < 0.01
    assert later == pytest.approx([1.0, 1.0, 0.51, 0.02])
    assert len(set(rates(optim=trapezoid, train={"minutes": 60}))) == 1
    assert len(set(rates(optim={"schedule": "cosine"}))) == 1
    config = Config.model_validate({"optim": trapezoid})
    assert RunContext(config, None, None).elapsed() == 0.0


def test_time_before_the_first_step_is_no_warm_up(monkeypatch):
    """Regression: the first steps of a short run on a GPU were made at the full rate."""
    now = [1000.0]
    monkeypatch.setattr("cplxsep.training.clock.time.monotonic", lambda: now[0])
    clock = Clock(1100.0)
    now[0] = 1020.0  # a validation, workers, a graph
    assert clock.share() == 0
    now[0] = 1030.0
    assert clock.share() == 1 / 8
    clock.restart()  # the graph of another rate
    now[0] = 1040.0
    assert [clock.share(), clock.late()] == [0, False]
    now[0] = 1100.5
    assert [clock.share(), clock.late()] == [1, True]
    assert clock.share() == 1


def test_a_run_of_max_minutes_ends_with_its_decay(tiny_config, tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "draw", lambda *_: None)
    rates = []
    one = TrainingStep.__call__

    def noted(self, *args):
        found = one(self, *args)
        rates.append(self.state.optimizers.parts["adamw"].param_groups[0]["lr"])
        return found

    monkeypatch.setattr(TrainingStep, "__call__", noted)
    changes = ["optim.schedule=trapezoid", "train.steps=100000", "train.compile=false"]
    config = read_config(tiny_config, [*changes, "train.valid_every=100000"])
    options = run.Options(tmp_path / "run", device="cpu", max_minutes=8 / 60)
    run.train(config, options, None, print)
    assert max(rates) == pytest.approx(1e-3)
    assert rates[-1] < 0.2e-3
