"""The model's section of a run's configuration: what to build, and how to load its weights."""

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, model_validator

from cplxsep.config import choices
from cplxsep.config.section import Channels, Count, Rate, Section


class Only(NamedTuple):
    """Marks a key as one of a single network's."""

    network: choices.Network


class UNetConfig(Section):
    """The residual U-Net, complex or real (SPEC.md section 3), and its masks."""

    start_maps: int = Field(32, ge=2, multiple_of=2)
    residual_blocks: int = Field(1, ge=0)
    levels: int = Field(4, ge=1, le=10)
    # The U-Net works on patch x patch blocks of the STFT: its first stage has fewer positions.
    patch: int = Field(1, ge=1)
    # Leave the Nyquist bin out (it is zero in every source): 128 bins need no padding, 129 do.
    drop_nyquist: bool = False
    # Masks as the network gives them, or with their modulus bounded by tanh (DCUNet, section 3.2).
    mask: choices.Mask = "unbounded"
    norm: Annotated[choices.Norm, Only("complex")] = "channel"
    real_norm: Annotated[choices.Norm, Only("real")] = "batch"
    activation: choices.Activation = "crelu"
    down: choices.Down = "stride"
    order: choices.Order = "widen-first"  # in the encoder's stages
    # What the U-Net sees of the STFT: all, or a clipped form. Masks apply to the whole STFT.
    front: Literal["none"] | choices.Clipping = "none"
    init: Annotated[choices.Init, Only("complex")] = "rayleigh"
    criterion: Annotated[choices.Criterion, Only("complex")] = "he"

    @model_validator(mode="after")
    def _consistent(self) -> "UNetConfig":
        if (self.start_maps // 2) % self.patch**2:
            raise ValueError("start_maps / 2 must be a multiple of patch squared")
        return self


class ExtractorConfig(Section):
    """FiLM-transformed mixtures behind the complex U-Net (SPEC.md section 4)."""

    transformations: int = Field(0, ge=0)  # of each source; 0: one mask for each instead
    # Probability that dropout strikes, drawn for each source and transformation.
    dropout: float = Field(0.0, ge=0, lt=1)
    # What dropout removes: the mixture inside a transformation (the published code), a whole
    # transformed mixture, or its masked product (two readings of the paper's text).
    dropout_of: choices.DropoutOf = "mixture"
    # What the network's own scale of a transformation is added to: nothing (the paper's text), 1,
    # or 1+1i (the published code).
    film_offset: choices.FilmOffset = "1+1i"
    # Whether the untouched mixture is one of the candidates.
    mixture_candidate: bool = True
    combine: choices.Combine = "mean"  # candidates to a source; learned: 3x3 kernels
    init: choices.Init = "unitary"  # of the FiLM and of mask convolutions
    # Whether init is of the first mask convolution only, or of all of the mask network.
    init_of: choices.InitOf = "first"
    # Factor on the initial kernels. Features are not normalised, so at 1 the first outputs are far
    # louder than the mixture (SPEC.md section 4); 0.1 starts closer.
    gain: float = Field(1.0, gt=0, allow_inf_nan=False)


class DualPathConfig(Section):
    """Shape of the dual-path network (TEMPORAL.md section 2): levels inside an outer one."""

    group: int = Field(4, ge=1)  # neighbouring bins to a band
    outer: int = Field(32, ge=2, multiple_of=2)  # channels of stem, skip and head
    # Channels and blocks of each level; a level has half the bands and frames of the one before.
    channels: tuple[Channels, ...] = Field((96,), min_length=1, max_length=4)
    blocks: tuple[Count, ...] = Field((8,), min_length=1, max_length=4)
    states: int = Field(64, ge=1)  # complex ones of each direction of a recurrence
    heads: int = Field(0, ge=0)  # of attention from frame to frame after each block; 0: none
    correction: bool = False  # a spectrum that is added to what the masks make of the mixture's
    # Masks of an STFT of half the hop, of which the network has every second frame.
    half_hop: bool = False
    # No frame of the outputs depends on a later one of the mixture: a window is all that the
    # network looks ahead, and it can run live.
    causal: bool = False
    # Of the convolutions and maps in local blocks: any real map, or complex-linear ones.
    linearity: choices.Linearity = "real"

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
        if self.causal and self.heads:
            raise ValueError("causal: attention looks at later frames, so heads must be 0")
        if self.causal and len(self.channels) > 1:
            raise ValueError(
                "causal: a level of half the frames looks at later ones, so channels and blocks "
                "must have one number"
            )
        if self.half_hop and (self.causal or self.correction):
            other = "causal" if self.causal else "correction"
            raise ValueError(f"half_hop and {other} exclude each other: set one of them to false")
        return self


class TasNetConfig(Section):
    """Sizes of torchaudio's Conv-TasNet; the defaults are those of its paper."""

    filters: int = Field(512, ge=1)
    kernel: int = Field(16, ge=2, multiple_of=2)  # samples
    bottleneck: int = Field(128, ge=1)
    hidden: int = Field(512, ge=1)
    layers: int = Field(8, ge=1)
    stacks: int = Field(3, ge=1)


class ModelConfig(Section):
    """What the network is: enough to build it and to load its weights."""

    network: choices.Network = "complex"
    sample_rate: int = Field(8000, gt=0)  # Hz, in training
    # dual-path: in Hz, all that it may be run at, sample_rate among them; empty: that alone. Window
    # and hop, given in samples at sample_rate, last equally long at each.
    rates: tuple[Rate, ...] = ()
    sources: int = Field(2, ge=1, le=9)  # losses try all their orders
    window: int = Field(256, ge=4)  # samples
    hop: int = Field(128, ge=1)  # samples
    # Level of the outputs: fitted to the mixture by least squares, or as the network gives it.
    level: choices.Level = "mixture"
    unet: UNetConfig = UNetConfig()
    extractor: ExtractorConfig = ExtractorConfig()
    dual_path: DualPathConfig = DualPathConfig()
    tasnet: TasNetConfig = TasNetConfig()

    @model_validator(mode="before")
    @classmethod
    def _of_older_versions(cls, values: Any) -> Any:
        return in_sections(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _consistent(self) -> "ModelConfig":
        if self.hop > self.window // 2:
            raise ValueError("hop must be at most half the window")
        transformations = self.extractor.transformations
        if self.network != "complex":
            if transformations:
                raise ValueError(
                    f"the {self.network} network has no extractor: set "
                    "extractor.transformations to 0"
                )
            if self.unet.activation != "crelu":
                raise ValueError(
                    f"unet.activation {self.unet.activation} is of the complex network"
                )
        if not (self.extractor.mixture_candidate or transformations):
            raise ValueError(
                "without extractor.mixture_candidate, extractor.transformations must be at least 1"
            )
        if self.rates and self.network != "dual-path":
            raise ValueError(f"rates are of the dual-path network, not of the {self.network} one")
        if self.network == "dual-path":
            self._bands_fit()
        if self.causal and self.level != "network":
            raise ValueError(
                "dual_path.causal: a fit to the whole mixture looks ahead, so level must be network"
            )
        return self

    @property
    def all_rates(self) -> tuple[int, ...]:
        """All that the network may be run at, in Hz."""
        return self.rates or (self.sample_rate,)

    @property
    def causal(self) -> bool:
        """Whether it hears no more than a window ahead of what it gives."""
        return self.network == "dual-path" and self.dual_path.causal

    def _bands_fit(self) -> None:
        """Raise ValueError where window, hop or bands do not come out even at each of the rates."""
        if self.rates and self.sample_rate not in self.rates:
            raise ValueError(f"rates must hold sample_rate, {self.sample_rate}")
        shape = self.dual_path
        bins = shape.group * 2 ** (len(shape.channels) - 1)
        for rate in self.all_rates:
            for name in ("window", "hop"):
                if getattr(self, name) * rate % self.sample_rate:
                    raise ValueError(f"{name} is no whole number of samples at {rate} Hz")
            if shape.half_hop and self.hop * rate // self.sample_rate % 2:
                raise ValueError(f"dual_path.half_hop: hop must be even, it is odd at {rate} Hz")
            window = self.window * rate // self.sample_rate
            if window % (2 * bins):
                raise ValueError(
                    f"the window at {rate} Hz, {window} samples, must be a multiple of {2 * bins}: "
                    f"bins go by dual_path.group, bands by two for each further level"
                )

    def unused(self) -> list[str]:
        """Keys below [model] that are not at their defaults and change nothing in this network."""
        used = {_SECTIONS[self.network]}
        if self.extractor.transformations:
            used.add("extractor")
        return sorted(
            f"{section}.{key}"
            for section, values in self.model_dump(exclude_defaults=True).items()
            if isinstance(values, dict)
            for key in values
            if section not in used or self.network not in _networks_of(section, key)
        )


# Which section is of which network.
_SECTIONS: dict[choices.Network, str] = {
    "complex": "unet",
    "real": "unet",
    "dual-path": "dual_path",
    "conv-tasnet": "tasnet",
}


def _networks_of(section: str, key: str) -> set[choices.Network]:
    """The networks that a key changes something in, if its section is one of theirs."""
    schema = ModelConfig.model_fields[section].annotation
    assert isinstance(schema, type)
    assert issubclass(schema, Section)
    marks = schema.model_fields[key].metadata
    return {mark.network for mark in marks if isinstance(mark, Only)} or set(_SECTIONS)


# Keys that older versions had in [model] itself: the section and the key that each is now.
_UNET = "start_maps residual_blocks levels patch drop_nyquist mask norm real_norm activation down"
_UNET += " order front init criterion"
_EXTRACTOR = "transformations dropout dropout_of film_offset mixture_candidate combine"
FLAT = {key: ("unet", key) for key in _UNET.split()}
FLAT |= {key: ("extractor", key) for key in _EXTRACTOR.split()}
FLAT |= {f"head_{key}": ("extractor", key) for key in ("init", "init_of", "gain")}
FLAT |= {f"tasnet_{key}": ("tasnet", key) for key in TasNetConfig.model_fields}


def in_sections(values: dict[str, Any]) -> dict[str, Any]:
    """What stands in [model], with keys of older versions in their sections.

    ValueError: a key stands in both places.
    """
    found = {key: value for key, value in values.items() if key not in FLAT}
    for key in [key for key in values if key in FLAT]:
        section, name = FLAT[key]
        own = found.get(section, {})
        if not isinstance(own, dict):
            continue  # the schema says what is wrong with it
        if name in own:
            raise ValueError(f"{key} is {section}.{name} now: leave one of the two out")
        found[section] = own | {name: values[key]}
    return found


def place(name: str) -> list[str]:
    """Sections and key of a dotted name, which may be one of older versions."""
    keys = name.strip().split(".")
    if len(keys) > 1 and keys[0] == "model" and keys[1] in FLAT:
        return ["model", *FLAT[keys[1]], *keys[2:]]
    return keys
