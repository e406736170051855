"""The model's section of a run's configuration: what to build, and how to load its weights."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Channels = Annotated[int, Field(ge=2, multiple_of=2)]
Count = Annotated[int, Field(ge=1)]
Rate = Annotated[int, Field(gt=0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

_TASNET = {"filters", "kernel", "bottleneck", "hidden", "layers", "stacks"}
_UNET = {"start_maps", "residual_blocks", "levels", "patch", "drop_nyquist", "mask", "down"}
_UNET |= {"order", "front"}
_COMPLEX = {"norm", "init", "criterion"}
_EXTRACTOR = {"dropout", "dropout_of", "film_offset", "combine", "head_init", "head_init_of"}
_EXTRACTOR |= {"head_gain"}


class Section(BaseModel):
    """A section of the configuration; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DualPathConfig(Section):
    """Shape of the dual-path network (TEMPORAL.md section 2): levels inside an outer one."""

    group: int = Field(4, ge=1)  # neighbouring bins to a band
    outer: int = Field(32, ge=2, multiple_of=2)  # channels of stem, skip and head
    # Channels and blocks of each level; a level has half the bands and frames of the one before.
    channels: tuple[Channels, ...] = Field((96,), min_length=1, max_length=4)
    blocks: tuple[Count, ...] = Field((8,), min_length=1, max_length=4)
    states: int = Field(64, ge=1)  # complex ones of each direction of a recurrence
    heads: int = Field(0, ge=0)  # of attention from frame to frame after each block; 0: none
    # Of the convolutions and maps in local blocks: any real map, or complex-linear ones.
    linearity: Literal["real", "complex"] = "real"

    @model_validator(mode="after")
    def _consistent(self) -> "DualPathConfig":
        if len(self.channels) != len(self.blocks):
            raise ValueError(
                f"channels and blocks need one number a level: they have {len(self.channels)} "
                f"and {len(self.blocks)}"
            )
        for channels in self.channels:
            if self.heads and channels % self.heads:
                raise ValueError(f"channels {channels} must be a multiple of heads, {self.heads}")
        return self


class ModelConfig(Section):
    """What the network is: enough to build it and to load its weights."""

    network: Literal["complex", "real", "conv-tasnet", "dual-path"] = "complex"
    sample_rate: int = Field(8000, gt=0)  # Hz, in training
    # dual-path: in Hz, all that it may be run at, sample_rate among them; empty: that alone. Window
    # and hop, given in samples at sample_rate, last equally long at each.
    rates: tuple[Rate, ...] = ()
    sources: int = Field(2, ge=1, le=9)  # losses try all their orders
    window: int = Field(256, ge=4)  # samples
    hop: int = Field(128, ge=1)  # samples
    start_maps: int = Field(32, ge=2, multiple_of=2)
    residual_blocks: int = Field(1, ge=0)
    levels: int = Field(4, ge=1, le=10)
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
    # What dropout removes: the mixture inside a transformation (the published code), a whole
    # transformed mixture, or its masked product (two readings of the paper's text).
    dropout_of: Literal["mixture", "transformation", "mask"] = "mixture"
    # What the network's own scale of a transformation is added to: nothing (the paper's text), 1,
    # or 1+1i (the published code).
    film_offset: Literal["0", "1", "1+1i"] = "1+1i"
    # Whether the untouched mixture is one of the candidates.
    mixture_candidate: bool = True
    combine: Literal["mean", "learned"] = "mean"  # candidates to a source; learned: 3x3 kernels
    norm: Literal["channel", "layer", "batch"] = "channel"  # of the complex network
    real_norm: Literal["channel", "layer", "batch"] = "batch"  # of the real one
    activation: Literal[
        "crelu", "zrelu", "modrelu", "cardioid", "clip-modulus", "clip-quadrant"
    ] = "crelu"
    down: Literal["stride", "max", "average", "spectral"] = "stride"
    order: Literal["widen-first", "downsample-first"] = "widen-first"  # in the encoder's stages
    # What the U-Net sees of the STFT: all, or a clipped form. Masks apply to the whole STFT.
    front: Literal["none", "clip-modulus", "clip-quadrant", "clip-parts"] = "none"
    init: Literal["rayleigh", "rayleigh-unscaled", "unitary"] = "rayleigh"
    criterion: Literal["he", "glorot"] = "he"
    head_init: Literal["rayleigh", "rayleigh-unscaled", "unitary"] = "unitary"
    # Whether head_init is of the first mask convolution only, or of all of the mask network.
    head_init_of: Literal["first", "all"] = "first"
    # Factor on the extractor's initial kernels.
    head_gain: float = Field(1.0, gt=0, allow_inf_nan=False)
    # conv-tasnet: sizes of torchaudio's model; the defaults are those of its paper.
    tasnet_filters: int = Field(512, ge=1)
    tasnet_kernel: int = Field(16, ge=2, multiple_of=2)  # samples
    tasnet_bottleneck: int = Field(128, ge=1)
    tasnet_hidden: int = Field(512, ge=1)
    tasnet_layers: int = Field(8, ge=1)
    tasnet_stacks: int = Field(3, ge=1)
    dual_path: DualPathConfig = DualPathConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if self.hop > self.window // 2:
            raise ValueError("hop must be at most half the window")
        if self.network != "complex":
            if self.transformations:
                raise ValueError(
                    f"the {self.network} network has no extractor: set transformations to 0"
                )
            if self.activation != "crelu":
                raise ValueError(f"activation {self.activation} is of the complex network")
        if not (self.mixture_candidate or self.transformations):
            raise ValueError("without mixture_candidate, transformations must be at least 1")
        if (self.start_maps // 2) % self.patch**2:
            raise ValueError("start_maps / 2 must be a multiple of patch squared")
        if self.rates and self.network != "dual-path":
            raise ValueError(f"rates are of the dual-path network, not of the {self.network} one")
        if self.network == "dual-path":
            self._bands_fit()
        return self

    def _bands_fit(self) -> None:
        """Raise ValueError where window, hop or bands do not come out even at each of the rates."""
        if self.rates and self.sample_rate not in self.rates:
            raise ValueError(f"rates must hold sample_rate, {self.sample_rate}")
        shape = self.dual_path
        bins = shape.group * 2 ** (len(shape.channels) - 1)
        for rate in self.rates or (self.sample_rate,):
            for name in ("window", "hop"):
                if getattr(self, name) * rate % self.sample_rate:
                    raise ValueError(f"{name} is no whole number of samples at {rate} Hz")
            window = self.window * rate // self.sample_rate
            if window % (2 * bins):
                raise ValueError(
                    f"the window at {rate} Hz, {window} samples, must be a multiple of {2 * bins}: "
                    f"bins go by dual_path.group, bands by two for each further level"
                )

    def unused(self) -> list[str]:
        """Keys that are not at their defaults and change nothing in this network."""
        without: set[str] = set()
        if self.network != "conv-tasnet":
            without |= {f"tasnet_{name}" for name in _TASNET}
        else:
            without |= _UNET
        if self.network == "dual-path":
            without |= _UNET
        else:
            without |= {"dual_path"}
        if self.network != "complex":
            without |= _COMPLEX
        if self.network != "real":
            without |= {"real_norm"}
        if not self.transformations:
            without |= _EXTRACTOR
        return sorted(without & self.model_dump(exclude_defaults=True).keys())
