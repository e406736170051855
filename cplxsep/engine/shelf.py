"""The shelf of models: from a name to a folder, what each can do, and whether it is intact.

Importing this loads no torch: listing models and refusing an unknown one must be quick.
"""

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cplxsep
from cplxsep.config import Config, read_config
from cplxsep.errors import CplxsepError, ModelError

DEFAULT_MODEL = "dce-2spk-8k"
WEIGHTS, CONFIG, METRICS, CARD = "model.safetensors", "config.toml", "metrics.json", "README.md"


@dataclass(frozen=True)
class Entry:
    """What is known of a model without loading it; None where its folder does not say.

    sample_rate in Hz, si_sdr_i (mean SI-SDR improvement) in dB.
    """

    name: str
    task: str
    sources: int
    sample_rate: int
    parameters: int | None
    si_sdr_i: float | None
    licence: str | None


def root() -> Path:
    """Folder of the shipped models: inside the package, or beside it in a checkout."""
    package = Path(cplxsep.__file__).resolve().parent
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


def names() -> list[str]:
    """Names of the shipped models."""
    return sorted(path.parent.name for path in root().glob(f"*/{CONFIG}"))


def resolve(model: str | Path) -> Path:
    """Folder of a shipped name or of a path. Raises ModelError naming what there is."""
    known = names()
    if str(model) in known:
        return root() / str(model)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelError(f"model {model} is a file: give the folder that holds {CONFIG}")
    near = difflib.get_close_matches(str(model), known, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    there = f"shipped: {', '.join(known)}" if known else f"none are shipped in {root()}"
    raise ModelError(f"unknown model '{model}': {meant}{there}; or give a checkpoint folder")


def configuration(folder: Path) -> Config:
    """The model's training configuration. Raises ModelError."""
    try:
        return read_config(folder / CONFIG)
    except CplxsepError as error:
        raise ModelError(f"model {folder.name}: {error}") from None


def metrics(folder: Path) -> dict[str, Any]:
    """The model's metrics.json, {} where there is none. Raises ModelError where it is corrupt."""
    path = folder / METRICS
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise ModelError(f"model {folder.name}: cannot read {path}: {error}") from None
    if not isinstance(found, dict):
        raise ModelError(f"model {folder.name}: {path} holds no JSON object")
    return found


def describe(folder: Path) -> Entry:
    """What the folder says of its model. Raises ModelError."""
    config = configuration(folder).model
    known = metrics(folder)
    return Entry(
        folder.resolve().name,
        str(known.get("task", "separation")),
        config.sources,
        config.sample_rate,
        known.get("parameters"),
        _improvement(known),
        known.get("licence"),
    )


def verify(folder: Path) -> str | None:
    """Load the model strictly, compare its checksum, separate a second of noise on the CPU.

    Returns what could not be checked, or None.

    Raises:
        ModelError: a file is missing or corrupt, or the output is of no use.
    """
    from cplxsep.engine.separator import Separator

    separator = Separator.load(folder, device="cpu")
    recorded = metrics(folder).get("sha256")
    if recorded is not None and recorded != checksum(folder / WEIGHTS):
        raise ModelError(f"model {folder.name}: {WEIGHTS} is not the file {METRICS} was made with")
    noise = np.random.default_rng(0).standard_normal(separator.sample_rate).astype(np.float32)
    try:
        sources = separator(noise, separator.sample_rate)
    except CplxsepError as error:
        raise ModelError(f"model {folder.name}: {error}") from None
    if not sources.any():
        raise ModelError(f"model {folder.name}: its output is silent")
    return None if recorded else f"no sha256 in {METRICS}"


def checksum(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _improvement(known: dict[str, Any]) -> float | None:
    """Mean SI-SDR improvement on the test set, or on the validation set of a fresh model."""
    for split in ("test", "valid"):
        scores = known.get(split)
        found = scores.get("si_sdr_i") if isinstance(scores, dict) else None
        found = found.get("mean") if isinstance(found, dict) else found
        if isinstance(found, int | float):
            return float(found)
    return None
