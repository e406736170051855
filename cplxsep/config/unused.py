"""Which keys of a configuration change nothing in its run, so that nobody believes they did."""

from collections.abc import Iterator

from cplxsep.config.data import ConversationConfig, NoiseConfig
from cplxsep.config.whole import Config

_FOLDERS = ("recordings", "rooms")
_TURNS = ("overlap", "pauses", "turns", "alone")
_OF_SCHEDULE = {
    "cosine": ("decay_steps",),
    "constant": ("decay_steps", "final_lr"),
    "linear-decay": (),
    "trapezoid": ("warmup_steps", "decay_steps"),
    "paper": ("lr", "warmup_steps", "decay_steps", "final_lr"),
}


def unused(config: Config) -> list[str]:
    """Keys that are not at their defaults and change nothing in this run."""
    idle = {*_of_data(config), *_of_training(config)}
    set_keys = {
        f"{section}.{key}"
        for section, values in config.model_dump(exclude_defaults=True).items()
        for key in values
    }
    return [f"model.{key}" for key in config.model.unused()] + sorted(idle & set_keys)


def _of_data(config: Config) -> Iterator[str]:
    noise, conversation = config.noise, config.conversation
    if config.data.mixtures:
        yield from (f"data.{key}" for key in ("snr", "speed", "gain", "pauses", "similar"))
        # Recordings and rooms are where those of a table without files lie.
        yield from (f"noise.{key}" for key in NoiseConfig.model_fields if key not in _FOLDERS)
    elif config.model.sources == 1:
        yield from ("data.pauses", "data.similar", "noise.snr")  # data.snr is over the noise
    elif not config.scenes:
        yield from (f"noise.{key}" for key in NoiseConfig.model_fields)
    if not config.scenes:
        yield from (f"conversation.{key}" for key in ConversationConfig.model_fields)
    if not noise.recordings:
        yield from (f"noise.{key}" for key in ("snr", "noise_only", "clean", "own_snr"))
    if not noise.rooms:
        yield from ("noise.reverberant", "conversation.reference")
    if not conversation.share:
        yield from (f"conversation.{key}" for key in _TURNS)


def _of_training(config: Config) -> Iterator[str]:
    optim = config.optim
    by_epoch = optim.schedule.startswith("paper")
    schedule = "paper" if by_epoch else optim.schedule
    yield from (f"optim.{key}" for key in _OF_SCHEDULE[schedule])
    if not by_epoch:
        yield "train.epoch_steps"
    if optim.optimizer == "sgd":
        yield "optim.betas"
    elif optim.optimizer != "muon":
        yield "optim.momentum"
    if config.train.loss not in ("csim", "csim-code"):
        yield from ("train.csim_real", "train.csim_imag")
