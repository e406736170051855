"""The sections of a run's configuration that say what it trains on."""

from typing import Literal

from pydantic import Field, model_validator

from cplxsep.config.section import Finite, Positive, Rate, Section, Share

Reference = Literal["heard", "early", "dry"]


class DataConfig(Section):
    """Where speech comes from and how it is mixed, anew in each step."""

    speech: str = ""  # manifest CSV or folder with a sub-folder for each speaker
    # Folder of prepared mixtures, SPLIT/{mix,s1,s2,...}/NAME.wav, instead of mixing here; snr,
    # speed, gain, pauses and similar then mean nothing. Of a table without files, speech,
    # noise.recordings and noise.rooms say what it was made from.
    mixtures: str = ""
    # Which mixtures where there are several kinds: LibriMix's mix_both, mix_clean, mix_single.
    mix: str = ""
    train_split: str = "train"  # or several of speech: "train,extra"
    valid_split: str = "valid"
    seconds: float = Field(4.0, ge=0, allow_inf_nan=False)  # 0: complete mixtures
    snr: tuple[Finite, Finite] = (0.0, 5.0)  # dB, first talker over the others, or over the noise
    speed: tuple[Positive, Positive] = (0.9, 1.1)  # factor; [1.0, 1.0] is none
    gain: tuple[Finite, Finite] = (-15.0, 0.0)  # dB
    # Share of training mixtures of talkers in which one of them pauses: for losses that take it.
    pauses: Share = 0.0
    similar: Share = 0.0  # of the mixtures, whose talkers have voices of about one pitch
    valid_mixtures: int = Field(100, ge=1)
    valid_seconds: float = Field(4.0, ge=0, allow_inf_nan=False)  # 0: complete mixtures
    cache: str = ""  # folder for decoded audio; the run folder when empty
    # Hz: steps take them in turn, validation the highest; empty: model.sample_rate alone.
    rates: tuple[Rate, ...] = ()

    @model_validator(mode="after")
    def _ordered(self) -> "DataConfig":
        for name in ("snr", "speed", "gain"):
            pair = getattr(self, name)
            if pair[0] > pair[1]:
                raise ValueError(f"{name} must be [low, high]")
        if not self.mixtures and not (self.seconds and self.valid_seconds):
            raise ValueError("seconds = 0 and valid_seconds = 0 are for prepared mixtures only")
        if self.mixtures and "," in self.train_split + self.valid_split:
            raise ValueError("of mixtures, train_split and valid_split are one split each")
        if self.mix and not self.mixtures:
            raise ValueError("mix is a choice within mixtures, which is not set")
        return self


class NoiseConfig(Section):
    """Noise, rooms and damage. With recordings of noise and one source the task is to enhance.

    The shares say how many examples have no speech, no noise, a room, and so on.
    """

    recordings: str = ""  # manifest CSV or folder of noise; empty: no noise, talkers only
    rooms: str = ""  # folder of room responses; channels of a file: places in one room
    snr: tuple[Finite, Finite] = (5.0, 30.0)  # dB, all talkers over the noise, if several
    noise_only: Share = 0.05
    clean: Share = 0.05
    reverberant: Share = 0.3
    band_limited: Share = 0.15
    clipped: Share = 0.1
    offset: Share = 0.0  # a constant added
    hum: Share = 0.0  # of the mains
    coded: Share = 0.0  # by a lossy coder such as Opus, MP3 or GSM
    # dB that a recording of speech must stand above its own background to be a reference.
    own_snr: float = Field(30.0, ge=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _possible(self) -> "NoiseConfig":
        if self.noise_only + self.clean > 1:
            raise ValueError("noise_only and clean together exceed 1")
        if self.snr[0] > self.snr[1]:
            raise ValueError("snr must be [low, high]")
        return self


class ConversationConfig(Section):
    """How several talkers take turns; without it all of them talk throughout."""

    share: Share = 0.0  # of the examples
    # Seconds in which several talk over those in which anyone does, for turns without pause.
    overlap: tuple[Share, Share] = (0.0, 1.0)
    pauses: Share = 0.3  # of the changes of turn
    turns: tuple[Positive, Positive] = (1.0, 6.0)  # s
    alone: Share = 0.1  # of the examples, in which one talks and the others never do
    # In a room: a talker as heard, or the direct sound with 50 ms of reflections, or without.
    reference: Reference = "heard"

    @model_validator(mode="after")
    def _ordered(self) -> "ConversationConfig":
        for name in ("overlap", "turns"):
            pair = getattr(self, name)
            if pair[0] > pair[1]:
                raise ValueError(f"{name} must be [low, high]")
        return self
