"""The section of a run's configuration on its length, batch, loss, and what is watched."""

from typing import Literal

from pydantic import Field, model_validator

from cplxsep.config.choices import Per
from cplxsep.config.section import Finite, Positive, Section

TAKE_SILENCE = ("snr", "floored-snr", "sa-sdr")  # losses that do


class TrainConfig(Section):
    """Length, batch, loss and what is watched."""

    steps: int = Field(10000, ge=1)
    # Of steps alone, without validation: the run ends after them if that is sooner; 0: it does not.
    minutes: float = Field(0.0, ge=0, allow_inf_nan=False)
    batch: int = Field(8, ge=1)  # mixtures of one step, over all processes
    accumulate: int = Field(1, ge=1)  # parts in which each process computes its share, for memory
    workers: int = Field(2, ge=1)  # threads, with a GPU processes, that make mixtures ahead
    seed: int = Field(0, ge=0, lt=2**63)
    # Those named -code are as in the paper's published code, the others as in its text.
    loss: Literal[
        "si-sdr",
        "snr",
        "floored-snr",
        "sa-sdr",
        "wsdr",
        "csim",
        "csim-code",
        "l2-freq",
        "l2-time",
        "l2-time-code",
        "cos-time",
        "cos-time-code",
    ] = "si-sdr"
    pit: Per = "mixture"  # what shares one order of the talkers
    over_sources: Literal["mean", "sum"] = "mean"  # of the losses of a mixture's sources
    csim_real: Finite = 1.0
    # The paper's. csim-code divides by norms over the batch: keep csim_imag over its seconds of
    # audio the same (there 1e4 for about 130 s). With csim, 1e4 was too much for short trainings.
    csim_imag: Finite = 1e4
    # Weight of the multi-resolution STFT magnitude term that is added to the loss; 0 is off.
    magnitude: float = Field(0.0, ge=0, allow_inf_nan=False)
    # Steps that make one epoch of the paper's schedule.
    epoch_steps: int = Field(1000, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    weights: Literal["float32", "float16"] = "float32"  # in the published model's file
    compile: bool = True  # or native code on a CPU, Triton on a GPU: false takes none of them
    valid_every: int = Field(500, ge=1)  # steps
    save_minutes: Positive = 2.0  # between checkpoints, from which a run that was ended goes on
    save_every: int = Field(0, ge=0)  # steps, for further checkpoints; 0: none
    patience: int = Field(0, ge=0)  # end after so many validations without a new best; 0: never
    average_best: int = Field(0, ge=0)  # at the end try the average of so many best; 0: do not
    max_bad_steps: int = Field(50, ge=1)  # in a row

    @model_validator(mode="after")
    def _consistent(self) -> "TrainConfig":
        if self.loss == "sa-sdr" and self.over_sources == "sum":
            raise ValueError("loss sa-sdr is one of all sources: set over_sources to 'mean'")
        if self.batch % self.accumulate:
            raise ValueError("batch must be a multiple of accumulate")
        whole = "loss" if self.loss in ("csim-code", "cos-time-code") else ""
        whole = whole or ("pit" if self.pit == "batch" else "")
        if whole and self.accumulate > 1:
            value = getattr(self, whole)
            raise ValueError(f"{whole} {value} is of the whole batch: set accumulate to 1")
        return self
