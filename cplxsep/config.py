"""One schema for everything a run can be told: TOML in, checked objects out.

Unknown keys are errors. The same file trains a model and, stored beside its weights, says how
to build it again.
"""

import difflib
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cplxsep.errors import UsageError

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(_Section):
    """What the network is: enough to build it and to load its weights."""

    network: Literal["complex", "real"] = "complex"
    sample_rate: int = Field(8000, gt=0)  # Hz
    sources: int = Field(2, ge=1)
    window: int = Field(256, ge=4)  # samples
    hop: int = Field(128, ge=1)  # samples
    start_maps: int = Field(32, ge=2, multiple_of=2)
    residual_blocks: int = Field(1, ge=0)
    levels: int = Field(4, ge=1)
    # The U-Net works on patch x patch blocks of the STFT: its first stage has fewer positions.
    patch: int = Field(1, ge=1)
    # Leave the Nyquist bin out (it is zero in every source): 128 bins need no padding, 129 do.
    drop_nyquist: bool = False
    # Level of the outputs: fitted to the mixture by least squares, or as the network gives it.
    level: Literal["mixture", "network"] = "mixture"
    # Masks as the network gives them, or with their modulus bounded by tanh (DCUNet, section 3.2).
    mask: Literal["unbounded", "polar"] = "unbounded"
    transformations: int = Field(0, ge=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    norm: Literal["channel", "layer"] = "channel"
    init: Literal["rayleigh", "rayleigh-unscaled", "unitary"] = "rayleigh"
    criterion: Literal["he", "glorot"] = "he"
    head_init: Literal["rayleigh", "rayleigh-unscaled", "unitary"] = "unitary"
    head_gain: float = Field(1.0, gt=0)  # factor on the extractor's initial kernels

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if self.hop > self.window // 2:
            raise ValueError("hop must be at most half the window")
        if self.network == "real" and self.transformations:
            raise ValueError("the real network has no extractor: set transformations to 0")
        if (self.start_maps // 2) % self.patch**2:
            raise ValueError("start_maps / 2 must be a multiple of patch squared")
        return self


class DataConfig(_Section):
    """Where speech comes from and how it is mixed, anew in each step."""

    speech: str = ""  # manifest CSV or folder with a sub-folder for each speaker
    train_split: str = "train"  # or several: "train,extra"
    valid_split: str = "valid"
    seconds: float = Field(4.0, gt=0)
    snr: tuple[Finite, Finite] = (0.0, 5.0)  # dB, first talker over the others, or over the noise
    speed: tuple[Positive, Positive] = (0.9, 1.1)  # factor; [1.0, 1.0] is none
    gain: tuple[Finite, Finite] = (-15.0, 0.0)  # dB
    valid_mixtures: int = Field(100, ge=1)
    valid_seconds: float = Field(4.0, gt=0)
    cache: str = ""  # folder for decoded audio; the run folder when empty

    @model_validator(mode="after")
    def _ordered(self) -> "DataConfig":
        for name in ("snr", "speed", "gain"):
            pair = getattr(self, name)
            if pair[0] > pair[1]:
                raise ValueError(f"{name} must be [low, high]")
        return self


class NoiseConfig(_Section):
    """Noise and damage: with recordings of noise the task is to enhance one talker's speech.

    The fractions say how many examples have no speech, no noise, a room, a narrow band, clipping.
    """

    recordings: str = ""  # manifest CSV or folder of noise; empty: no noise, talkers only
    rooms: str = ""  # folder of room responses; empty: none
    noise_only: Share = 0.05
    clean: Share = 0.05
    reverberant: Share = 0.3
    band_limited: Share = 0.15
    clipped: Share = 0.1
    # dB that a recording of speech must stand above its own background to be a reference.
    own_snr: float = Field(30.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _possible(self) -> "NoiseConfig":
        if self.noise_only + self.clean > 1:
            raise ValueError("noise_only and clean together exceed 1")
        return self


class OptimConfig(_Section):
    """Optimiser, schedule and regularisation."""

    optimizer: Literal["adamw", "muon", "sgd"] = "adamw"
    lr: float = Field(2e-3, gt=0)  # muon: scaled so that updates are as large as adamw's
    weight_decay: float = Field(1e-2, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    betas: tuple[Fraction, Fraction] = (0.9, 0.98)
    # paper, paper-code: fixed rates by epoch (SGD); lr, warmup_steps and final_lr are not used.
    # linear-decay: constant, then down over the last decay_steps, so `steps` can be set late.
    schedule: Literal["cosine", "constant", "linear-decay", "paper", "paper-code"] = "cosine"
    warmup_steps: int = Field(200, ge=0)
    decay_steps: int = Field(2000, ge=1)
    final_lr: float = Field(0.02, ge=0, le=1)  # fraction of lr that is left at the end
    clip: float = Field(1.0, gt=0)  # global gradient norm
    ema: float = Field(0.0, ge=0, lt=1)  # decay; 0 is off

    @model_validator(mode="after")
    def _schedule_fits(self) -> "OptimConfig":
        if self.schedule.startswith("paper") and self.optimizer != "sgd":
            raise ValueError(f"schedule {self.schedule} sets learning rates for optimizer sgd only")
        return self


class TrainConfig(_Section):
    """Length, batch, loss and what is watched."""

    steps: int = Field(10000, ge=1)
    batch: int = Field(8, ge=1)
    seed: int = Field(0, ge=0)
    loss: Literal[
        "si-sdr", "snr", "wsdr", "csim", "csim-code", "l2-freq", "l2-time", "cos-time"
    ] = "si-sdr"
    csim_real: float = 1.0
    csim_imag: float = 1e4
    # Weight of the multi-resolution STFT magnitude term that is added to the loss; 0 is off.
    magnitude: float = Field(0.0, ge=0)
    # Steps that make one epoch of the paper's schedule.
    epoch_steps: int = Field(1000, ge=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = True
    valid_every: int = Field(500, ge=1)  # steps
    save_every: int = Field(200, ge=1)  # steps
    max_bad_steps: int = Field(50, ge=1)


class Config(_Section):
    """A whole training run."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    noise: NoiseConfig = NoiseConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _one_task(self) -> "Config":
        if self.noise.recordings and self.model.sources != 1:
            raise ValueError("with noise.recordings, model.sources must be 1")
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
        raise UsageError(f"{source}: {_explain(error)}") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Parsed TOML. Raises UsageError with the file's name."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read config {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"config {path} is not valid TOML: {error}") from None


def to_toml(config: Config) -> str:
    """The configuration as TOML, every value written out."""
    lines = []
    for section, values in config.model_dump().items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {_literal(value)}" for key, value in values.items()]
        lines.append("")
    return "\n".join(lines)


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_literal(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
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


def _explain(error: ValidationError) -> str:
    """First problem in one line: key, what is wrong, what is allowed or was meant."""
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location) or "config"
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'{_nearest(location)}"
    message = first["msg"].removeprefix("Value error, ")
    return f"'{key}': {message[0].lower()}{message[1:]} (is {first.get('input')!r})"


def _nearest(location: list[str]) -> str:
    section: type[BaseModel] = Config
    for part in location[:-1]:
        annotation = section.model_fields[part].annotation
        assert isinstance(annotation, type)
        section = annotation
    known = list(section.model_fields)
    close = difflib.get_close_matches(location[-1], known, n=1)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(known)}"
