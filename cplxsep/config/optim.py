"""The section of a run's configuration on the optimiser and its schedule."""

from typing import Literal

from pydantic import Field, model_validator

from cplxsep.config.section import Fraction, Positive, Section, Share

_SHARES = 0.03, 0.35  # of a run, in which the rate goes up and down (TEMPORAL.md section 6)


class OptimConfig(Section):
    """Optimiser, schedule and regularisation."""

    # schedulefree and prodigy need the extra [train]; complex-adamw is an experiment.
    optimizer: Literal["adamw", "muon", "sgd", "schedulefree", "prodigy", "complex-adamw"] = "adamw"
    # muon: scaled so that updates are as large as adamw's; prodigy: a factor on what it finds.
    lr: Positive = 2e-3
    weight_decay: float = Field(1e-2, ge=0, allow_inf_nan=False)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    # paper, paper-code: fixed rates by epoch (SGD); lr, warmup_steps and final_lr are not used.
    # linear-decay: constant, then down over the last decay_steps, so `steps` can be set late.
    # trapezoid: the same by shares of the run, be it in steps or by the clock: train.minutes, or
    # where that is 0 the --max-minutes of a command. Resumed later, the rate goes up again.
    schedule: Literal["cosine", "constant", "linear-decay", "trapezoid", "paper", "paper-code"] = (
        "cosine"
    )
    warmup_steps: int = Field(200, ge=0)
    decay_steps: int = Field(2000, ge=1)
    warmup_share: Share = _SHARES[0]  # trapezoid: instead of warmup_steps and decay_steps
    decay_share: float = Field(_SHARES[1], gt=0, le=1)
    final_lr: float = Field(0.02, ge=0, le=1)  # fraction of lr that is left at the end
    # Parts of the network whose parameters are trained, as `head`; others stay as they are. Empty:
    # all of it.
    only: tuple[str, ...] = ()
    clip: Positive = 1.0  # global gradient norm
    ema: float = Field(0.0, ge=0, lt=1)  # decay; 0 is off

    @model_validator(mode="after")
    def _schedule_fits(self) -> "OptimConfig":
        if self.schedule.startswith("paper") and self.optimizer != "sgd":
            raise ValueError(f"schedule {self.schedule} sets learning rates for optimizer sgd only")
        shares = (self.warmup_share, self.decay_share)
        if self.schedule != "trapezoid" and shares != _SHARES:
            raise ValueError("warmup_share and decay_share go with schedule = 'trapezoid'")
        if sum(shares) > 1:
            raise ValueError("warmup_share and decay_share together exceed 1")
        if self.optimizer == "schedulefree" and self.schedule != "constant":
            raise ValueError("optimizer schedulefree goes with schedule = 'constant'")
        if self.optimizer == "schedulefree" and self.ema:
            raise ValueError("optimizer schedulefree averages the weights itself: set ema to 0")
        if self.optimizer == "prodigy" and self.lr < 0.1:
            raise ValueError("optimizer prodigy finds the learning rate itself: set lr to 1.0")
        return self
