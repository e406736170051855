"""One schema for everything a run can be told: TOML in, checked objects out.

Unknown keys are errors. The same file trains a model and, stored beside its weights, says how
to build it again.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from cplxsep.config_errors import blamed, explain
from cplxsep.data_config import ConversationConfig, DataConfig, NoiseConfig
from cplxsep.errors import UsageError
from cplxsep.model_config import Finite, ModelConfig, Positive, Section, Share

Fraction = Annotated[float, Field(ge=0, lt=1)]
TAKE_SILENCE = ("snr", "floored-snr", "sa-sdr")  # losses that do
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
    # trapezoid: the same by shares of the run, be it in steps or by the clock (train.minutes).
    schedule: Literal["cosine", "constant", "linear-decay", "trapezoid", "paper", "paper-code"] = (
        "cosine"
    )
    warmup_steps: int = Field(200, ge=0)
    decay_steps: int = Field(2000, ge=1)
    warmup_share: Share = _SHARES[0]  # trapezoid: instead of warmup_steps and decay_steps
    decay_share: float = Field(_SHARES[1], gt=0, le=1)
    final_lr: float = Field(0.02, ge=0, le=1)  # fraction of lr that is left at the end
    clip: float = Field(1.0, gt=0)  # global gradient norm
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


class TrainConfig(Section):
    """Length, batch, loss and what is watched."""

    steps: int = Field(10000, ge=1)
    # Of steps alone, without validation: the run ends after them if that is sooner; 0: it does not.
    minutes: float = Field(0.0, ge=0, allow_inf_nan=False)
    batch: int = Field(8, ge=1)  # mixtures of one step, over all processes
    accumulate: int = Field(1, ge=1)  # parts in which each process computes its share, for memory
    workers: int = Field(2, ge=1)  # threads that make mixtures ahead
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
    pit: Literal["mixture", "batch"] = "mixture"  # what shares one order of the talkers
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
    compile: bool = True
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


class Config(Section):
    """A whole training run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    noise: NoiseConfig = NoiseConfig()
    conversation: ConversationConfig = ConversationConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    @property
    def scenes(self) -> bool:
        """Whether several talkers are heard in turns, in noise or in rooms."""
        around = self.conversation.share or self.noise.recordings or self.noise.rooms
        return self.model.sources > 1 and not self.data.mixtures and bool(around)

    @model_validator(mode="after")
    def _several_talk(self) -> "Config":
        if self.conversation.share and (self.model.sources == 1 or self.data.mixtures):
            raise ValueError(
                "conversation.share is of talkers that are mixed here: set it to 0, or "
                "model.sources to 2 or more and data.speech instead of data.mixtures"
            )
        return self

    @model_validator(mode="after")
    def _has_a_meaning(self) -> "Config":
        damage = [name for name in ("offset", "hum", "coded") if getattr(self.noise, name)]
        if damage and self.model.sources > 1 and not self.scenes:
            raise ValueError(
                f"noise.{damage[0]} is of talkers in noise, in rooms or in conversations: set "
                f"noise.recordings, noise.rooms or conversation.share"
            )
        if self.data.pauses and self.scenes:
            raise ValueError(
                "data.pauses is of talkers without noise, rooms or turns: set it to 0, and "
                "conversation.pauses instead"
            )
        if self.train.loss == "sa-sdr" and self.noise.recordings and self.noise.noise_only:
            raise ValueError(
                "train.loss sa-sdr needs somebody who talks: set noise.noise_only to 0, or "
                "train.loss to floored-snr"
            )
        return self

    @model_validator(mode="after")
    def _takes_silence(self) -> "Config":
        silent = ""
        if self.data.pauses:
            silent = "data.pauses"
        elif self.scenes and self.conversation.share:
            silent = "conversation.share"
        elif self.scenes and self.noise.recordings and self.noise.noise_only:
            silent = "noise.noise_only"
        if silent and self.train.loss not in TAKE_SILENCE:
            raise ValueError(
                f"train.loss {self.train.loss} cannot take a talker who says nothing: set "
                f"{silent} to 0, or train.loss to one of {', '.join(TAKE_SILENCE)}"
            )
        return self

    @model_validator(mode="after")
    def _rates_are_the_models(self) -> "Config":
        known = self.model.rates or (self.model.sample_rate,)
        for rate in self.data.rates:
            if rate not in known:
                raise ValueError(
                    f"data.rates {rate} is none of the model's, {', '.join(map(str, known))}"
                )
        if self.data.rates and self.data.mixtures:
            raise ValueError("data.mixtures are of one rate: leave data.rates empty")
        return self

    @model_validator(mode="after")
    def _ends_with_its_decay(self) -> "Config":
        if self.train.minutes and self.optim.schedule not in ("trapezoid", "constant"):
            raise ValueError(
                f"optim.schedule {self.optim.schedule} goes by steps, train.minutes by the clock: "
                f"set optim.schedule to 'trapezoid'"
            )
        return self

    @model_validator(mode="after")
    def _long_enough(self) -> "Config":
        window = self.model.window / self.model.sample_rate
        for name in ("seconds", "valid_seconds"):
            if 0 < getattr(self.data, name) < window:
                raise ValueError(f"data.{name} is shorter than the STFT's window, {window:.3g} s")
        return self


def read_config(path: Path, changes: list[str] | None = None) -> Config:
    """Configuration from a TOML file with `a.b=value` changes applied.

    Raises:
        UsageError: the file is missing or no TOML, a key is unknown, or a value is not allowed.
    """
    return parse_config(read_toml(path), str(path), changes)


def parse_config(values: dict[str, Any], source: str, changes: list[str] | None = None) -> Config:
    """Configuration from plain values; `source` names them in errors."""
    for change in changes or []:
        _apply(values, change)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        where = blamed(error, source, changes or [])
        raise UsageError(f"{where}: {explain(error, Config)}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Parsed TOML. Raises UsageError with the file's name."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config {path} is not valid TOML: {error}") from None


def user_path(text: str) -> Path:
    """A path of a configuration, where ~ is the home folder. UsageError: there is no such user."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{text}: there is no such home folder") from None


def to_toml(config: Config) -> str:
    """The configuration as TOML, every value written out."""
    lines = []

    def write(name: str, values: dict[str, Any]) -> None:
        inner = {key: value for key, value in values.items() if isinstance(value, dict)}
        lines.append(f"[{name}]")
        lines.extend(
            f"{key} = {_literal(value)}" for key, value in values.items() if key not in inner
        )
        lines.append("")
        for key, value in inner.items():
            write(f"{name}.{key}", value)

    for section, values in config.model_dump().items():
        write(section, values)
    return "\n".join(lines)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\u{ord(m[0]):04x}", escaped) + '"'
    return repr(value)


def _apply(values: dict[str, Any], change: str) -> None:
    """Set one `a.b=value`; the value is TOML, or a bare word taken as a string."""
    name, separator, text = change.partition("=")
    keys = name.strip().split(".")
    if not separator or not all(keys):
        raise UsageError(f"--set {change}: write it as section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for key in keys[:-1]:
        values = values.setdefault(key, {})
        if not isinstance(values, dict):
            raise UsageError(f"--set {change}: '{key}' is no section")
    values[keys[-1]] = value
