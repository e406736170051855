"""A model folder's card: what the model is, in a few lines for people."""

from pathlib import Path
from typing import Any

from cplxsep.config import Config
from cplxsep.config.shipped.readings import readings
from cplxsep.errors import ModelError
from cplxsep.model_folder.contents import CARD


def read_card(folder: Path) -> str | None:
    """The card, None where there is none. Raises ModelError where it cannot be read."""
    try:
        return (folder / CARD).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"cannot read the model card {folder / CARD}: {error}") from None


def new_card(folder: Path, config: Config, metrics: dict[str, Any]) -> str:
    """The card of a model that was trained in the folder around `folder`."""
    model = config.model
    task = "Enhances speech" if model.sources == 1 else f"Separates {model.sources} talkers"
    rates = " or ".join(map(str, model.all_rates))
    return (
        f"# {folder.absolute().parent.name}\n\n"
        f"{task} at {rates} Hz; "
        f"{metrics['parameters']:,} parameters.\n\n"
        f"Trained for {metrics['training']['audio_hours']} h of mixtures "
        f"({metrics['training']['step']} steps) on `{config.data.speech or config.data.mixtures}`. "
        f"Validation SI-SDR improvement {metrics['valid']['si_sdr_i']} dB.\n"
        f"{_origin(metrics.get('parent'))}{_readings(config)}"
    )


def _origin(parent: dict[str, Any] | None) -> str:
    """The model that this one was trained from, as its licence may ask for."""
    if not parent:
        return ""
    licence = parent["licence"] or "not stated"
    return (
        f"\nStarted from the weights of `{parent['name']}` (SHA-256 `{parent['sha256']}`, "
        f"licence: {licence}).\n"
    )


def _readings(config: Config) -> str:
    """Where the paper's text and its code disagree, which of them the network follows."""
    lines = "".join(f"- {line}\n" for line in readings(config))
    return lines and f"\nWhere the paper's text and its published code disagree:\n\n{lines}"
