"""Writes model folders as `cplxsep separate` takes them."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from cplxsep.config import Config, to_toml
from cplxsep.errors import InputError
from cplxsep.model_folder.card import new_card
from cplxsep.model_folder.contents import CARD, CONFIG, METRICS, WEIGHTS
from cplxsep.networks.model import SeparationModel


def publish(
    folder: Path,
    model: SeparationModel,
    config: Config,
    facts: dict[str, Any],
    parent: dict[str, Any] | None = None,
) -> None:
    """Write weights, configuration, metrics and a short card; the folder is complete or absent.

    Args:
        facts: of the training, for the metrics: `training` and `valid`.
        parent: name, sha256 and licence of the model whose weights the run started from.

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
        **facts,
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
        card = new_card(folder, config, metrics)
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


def weights_bytes(model: SeparationModel, dtype: torch.dtype = torch.float32) -> bytes:
    """The model's weights in safetensors form; `dtype` is that of floating-point ones."""
    return save(
        {
            name: tensor.to(dtype if tensor.is_floating_point() else tensor.dtype).contiguous()
            for name, tensor in model.state_dict().items()
        }
    )


def recover(folder: Path) -> None:
    """Put back the last complete model after an interruption, and remove what is half-written."""
    temporary, aside = _beside(folder)
    if aside.exists() and not folder.exists():
        os.replace(aside, folder)
    for rest in (temporary, aside):
        shutil.rmtree(rest, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
