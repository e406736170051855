"""The shipped models: from a name to a folder, and what each can do.

Importing this loads no torch: listing models and refusing an unknown one must be quick.
"""

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cplxsep.errors import ModelError
from cplxsep.model_folder.contents import CONFIG, OF_RUN, configuration, metrics
from cplxsep.model_folder.defaults import ALIASES, DEFAULT_MODEL

__all__ = ["DEFAULT_MODEL", "Entry", "describe", "names", "resolve", "root", "shipped"]


@dataclass(frozen=True)
class Entry:
    """What is known of a model without loading it; None where its folder does not say.

    sample_rate (of training) and rates (all that it runs at) in Hz, window and hop of its STFT in
    seconds, si_sdr_i (mean SI-SDR improvement) in dB.
    """

    name: str
    task: str
    sources: int
    sample_rate: int
    rates: list[int]
    window: float
    hop: float
    parameters: int | None
    si_sdr_i: float | None
    licence: str | None


def root() -> Path:
    """Folder of the shipped models: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


def names() -> list[str]:
    """Names of the shipped models, without aliases."""
    found = {path.parent.name for path in root().glob(f"*/{CONFIG}")}
    return sorted(name for name in found if ALIASES.get(name) not in found)


def shipped(name: str) -> Path | None:
    """Folder of the shipped model of that name, or of the one that it is an alias of."""
    known = names()
    meant = ALIASES.get(name)
    name = meant if meant in known else name
    return root() / name if name in known else None


def resolve(model: str | Path) -> Path:
    """Folder of a shipped name, path or training run. Raises ModelError naming what there is."""
    found = shipped(str(model))
    if found is not None:
        return found
    folder = Path(os.path.expanduser(model))
    if os.path.isdir(folder):
        of_run = folder / OF_RUN
        own, published = (os.path.exists(place / CONFIG) for place in (folder, of_run))
        return of_run if published and not own else folder
    if os.path.exists(folder):
        raise ModelError(f"model {model} is a file: give the folder that holds {CONFIG}")
    known = names()
    near = difflib.get_close_matches(str(model), known, n=1)
    meant = f"did you mean '{near[0]}'? " if near else ""
    there = f"shipped: {', '.join(known)}" if known else f"none are shipped in {root()}"
    raise ModelError(f"unknown model '{model}': {meant}{there}; or give a checkpoint folder")


def describe(folder: Path) -> Entry:
    """What the folder says of its model. Raises ModelError."""
    config = configuration(folder).model
    known = metrics(folder)
    return Entry(
        folder.resolve().name,
        str(known.get("task", "separation")),
        config.sources,
        config.sample_rate,
        sorted({*config.rates, config.sample_rate}),
        config.window / config.sample_rate,
        config.hop / config.sample_rate,
        known.get("parameters"),
        _improvement(known),
        known.get("licence"),
    )


def _improvement(known: dict[str, Any]) -> float | None:
    """Mean SI-SDR improvement on the test set, or on the validation set of a fresh model."""
    for split in ("test", "valid"):
        scores = known.get(split)
        found = scores.get("si_sdr_i") if isinstance(scores, dict) else None
        found = found.get("mean") if isinstance(found, dict) else found
        if isinstance(found, int | float):
            return float(found)
    return None
