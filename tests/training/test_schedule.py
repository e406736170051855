"""Learning-rate schedules."""

import pytest

from cplxsep.config import OptimConfig, TrainConfig
from cplxsep.training.schedule import lr_at


def rates(steps, train=None, **optim):
    config = OptimConfig(**{"lr": 1.0, "warmup_steps": 10, "final_lr": 0.1, **optim})
    train = TrainConfig(steps=1000, **(train or {}))
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
