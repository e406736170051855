"""What a model folder holds. Importing this loads no torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from cplxsep.config import Config, read_config
from cplxsep.errors import ModelError, UsageError

WEIGHTS, CONFIG, METRICS, CARD = "model.safetensors", "config.toml", "metrics.json", "README.md"
OF_RUN = "model"  # the folder that a training run publishes in its own


def configuration(folder: Path) -> Config:
    """The model's training configuration. Raises ModelError."""
    if not folder.is_dir():
        raise ModelError(f"model folder {folder} does not exist")
    try:
        return read_config(folder / CONFIG)
    except UsageError as error:
        raise ModelError(f"model {folder.name}: {error}") from None


def metrics(folder: Path) -> dict[str, Any]:
    """The model's metrics.json, {} where there is none. Raises ModelError where it is corrupt."""
    path = folder / METRICS
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"model {folder.name}: cannot read {path}: {error}") from None
    if not isinstance(found, dict):
        raise ModelError(f"model {folder.name}: {path} holds no JSON object")
    return found


def checksum(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
