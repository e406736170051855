"""One schema for everything that a run can be told. The same file, stored beside the weights, says
how to build the model again.
"""

from pydantic import model_validator

from cplxsep.config.data import ConversationConfig, DataConfig, NoiseConfig
from cplxsep.config.model import ModelConfig
from cplxsep.config.optim import OptimConfig
from cplxsep.config.section import Section
from cplxsep.config.train import TAKE_SILENCE, TrainConfig


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

    @property
    def training_rates(self) -> tuple[int, ...]:
        """Sampling rates in Hz, which steps take in turn."""
        return self.data.rates or (self.model.sample_rate,)

    @model_validator(mode="after")
    def _has_a_meaning(self) -> "Config":
        if self.conversation.share and (self.model.sources == 1 or self.data.mixtures):
            raise ValueError(
                "conversation.share is of talkers that are mixed here: set it to 0, or "
                "model.sources to 2 or more and data.speech instead of data.mixtures"
            )
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
    def _goes_together(self) -> "Config":
        known = self.model.all_rates
        for rate in self.data.rates:
            if rate not in known:
                raise ValueError(
                    f"data.rates {rate} is none of the model's, {', '.join(map(str, known))}"
                )
        if self.data.rates and self.data.mixtures:
            raise ValueError("data.mixtures are of one rate: leave data.rates empty")
        if self.train.minutes and self.optim.schedule not in ("trapezoid", "constant"):
            raise ValueError(
                f"optim.schedule {self.optim.schedule} goes by steps, train.minutes by the clock: "
                f"set optim.schedule to 'trapezoid'"
            )
        window = self.model.window / self.model.sample_rate
        for name in ("seconds", "valid_seconds"):
            if 0 < getattr(self.data, name) < window:
                raise ValueError(f"data.{name} is shorter than the STFT's window, {window:.3g} s")
        return self
