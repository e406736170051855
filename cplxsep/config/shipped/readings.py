"""Where the paper's text and its published code disagree, and which of them a run follows."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from cplxsep.config import Config


@dataclass(frozen=True)
class Choice:
    """A key, its value in the text's and in the code's reading, and what it is about."""

    key: str
    text: Any
    code: Any
    about: str


_PROTOCOL = [
    Choice("optim.schedule", "paper", "paper-code", "epochs at which the learning rate drops"),
    Choice("optim.weight_decay", 0.0, 1e-4, "weight decay"),
]
_PIT = Choice("train.pit", "mixture", "batch", "what shares one order of the talkers")
_SPECTRAL = [Choice("model.unet.order", "downsample-first", "widen-first", "in an encoder's stage")]
_COMPLEX = [
    Choice("model.unet.norm", "layer", "channel", "features that share statistics"),
    Choice("model.unet.init", "rayleigh", "rayleigh-unscaled", "scale of initial kernels"),
]
_EXTRACTOR = [
    Choice("model.extractor.film_offset", "0", "1+1i", "what a transformation's scale is added to"),
    Choice("model.extractor.init_of", "first", "all", "mask convolutions that start unitary"),
]
_DROPOUT = [Choice("model.extractor.dropout_of", "mask", "mixture", "what dropout removes")]
_LOSSES = ("csim", "l2-time", "cos-time")


def readings(config: Config) -> list[str]:
    """One line for each choice that the configuration makes between text and code.

    Of the schedule only where it is one of the paper's; none for networks that are not its.
    """
    model, loss = config.model, config.train.loss.removesuffix("-code")
    if model.network in ("conv-tasnet", "dual-path"):
        return []
    choices = list(_PROTOCOL) if config.optim.schedule.startswith("paper") else []
    choices += [_PIT, *_SPECTRAL]
    if model.network == "complex":
        choices += _COMPLEX
    if model.extractor.transformations:
        choices += _EXTRACTOR + (_DROPOUT if model.extractor.dropout else [])
    if loss in _LOSSES:
        choices.append(Choice("train.loss", loss, f"{loss}-code", "the loss"))
    return [_line(config, choice) for choice in choices]


def _line(config: Config, choice: Choice) -> str:
    value = attrgetter(choice.key)(config)
    if value == choice.text:
        whose = f"the text's; the code's is {choice.code}"
    elif value == choice.code:
        whose = f"the code's; the text's is {choice.text}"
    else:
        whose = f"neither the text's, {choice.text}, nor the code's, {choice.code}"
    return f"{choice.key} = {value} ({choice.about}): {whose}"
