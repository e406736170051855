"""Model folders as `cplxsep separate` takes them, written from a training run."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from cplxsep.config import Config, to_toml
from cplxsep.config.shipped.readings import readings
from cplxsep.errors import InputError
from cplxsep.networks.folder import CARD, CONFIG, METRICS, WEIGHTS
from cplxsep.networks.model import SeparationModel
from cplxsep.networks.registry import weights_bytes
from cplxsep.training.progress import Progress


def write(
    folder: Path,
    model: SeparationModel,
    config: Config,
    progress: Progress,
    parent: dict[str, Any] | None = None,
) -> None:
    """Write weights, configuration, metrics and a short card; the folder is complete or absent.

    `parent`: name, sha256 and licence of the model whose weights the run started from.

    Raises:
        InputError: the folder cannot be written.
    """
    # Where data lay on the training machine means nothing elsewhere.
    data = {
        "speech": Path(config.data.speech).name,
        "mixtures": Path(config.data.mixtures).name,
        "cache": "",
    }
    noise = {
        "recordings": Path(config.noise.recordings).name,
        "rooms": Path(config.noise.rooms).name,
    }
    config = config.model_copy(
        update={
            "data": config.data.model_copy(update=data),
            "noise": config.noise.model_copy(update=noise),
        }
    )
    weights = weights_bytes(model, getattr(torch, config.train.weights))
    metrics: dict[str, Any] = {
        "task": "enhancement" if config.model.sources == 1 else "separation",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "training": {
            "step": progress.step,
            "audio_hours": round(progress.audio / 3600, 2),
            "hours": round(progress.busy / 3600, 3),
        },
        "valid": {"si_sdr_i": round(progress.best, 3)},
    }
    if parent:
        metrics["parent"] = parent
    temporary, aside = _beside(folder)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        (temporary / WEIGHTS).write_bytes(weights)
        # A name that is no valid text means nothing elsewhere either.
        (temporary / CONFIG).write_text(to_toml(config), encoding="utf-8", errors="replace")
        (temporary / METRICS).write_text(json.dumps(metrics, indent=2) + "\n")
        card = _card(folder, config, metrics)
        (temporary / CARD).write_text(card, encoding="utf-8", errors="replace")
        # A folder cannot replace another in one step: a kill in between is mended by `recover`.
        if folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(folder, aside)
        os.replace(temporary, folder)
    except OSError as error:
        raise InputError(f"cannot write model {folder}: {error.strerror}") from None
    finally:
        recover(folder)


def recover(folder: Path) -> None:
    """Put back the last complete model after an interruption, and remove what is half-written."""
    temporary, aside = _beside(folder)
    if aside.exists() and not folder.exists():
        os.replace(aside, folder)
    for rest in (temporary, aside):
        shutil.rmtree(rest, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def _card(folder: Path, config: Config, metrics: dict[str, Any]) -> str:
    model = config.model
    task = "Enhances speech" if model.sources == 1 else f"Separates {model.sources} talkers"
    rates = " or ".join(map(str, model.rates or (model.sample_rate,)))
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
