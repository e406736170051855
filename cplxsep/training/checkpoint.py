"""Checkpoints of a running training, and from which of them one goes on.

They are written whole or not at all, and the previous one is kept.
"""

import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cplxsep.config import Config, parse_config
from cplxsep.errors import InputError, UsageError
from cplxsep.model_folder.publish import recover

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
CORRUPT = "checkpoint.corrupt.pt"
KEYS = {"step", "model", "optimizer", "average", "progress", "config"}
LATER = {"parent"}  # of newer checkpoints only
# The state of the run means nothing under another value of these.
_FIXED = ("model", "optim.optimizer", "optim.only")
_SCORES = ("best", "history")  # of the validations so far


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state; the checkpoint before it stays as the previous one.

    Raises:
        InputError: the folder cannot be written or is full; the older checkpoint is untouched.
    """
    path, temporary = folder / NAME, folder / f".{NAME}.new"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.replace(path, folder / PREVIOUS)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:  # torch wraps a full disk in a RuntimeError
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise InputError(f"cannot write checkpoint {path}: {reason}") from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def load(path: Path) -> dict[str, Any]:
    """State from a checkpoint file. Raises UsageError when it is missing, corrupt or another's."""
    if path.suffix == ".safetensors":
        raise UsageError(
            f"checkpoint {path} is a model's weights, without the state of a run: start from them "
            "with --init"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load looks at no checksum
        if damaged:
            raise ValueError(f"wrong checksum of {damaged}")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UsageError(f"checkpoint {path} does not exist") from None
    except Exception as error:  # damaged bytes make the unpickler raise anything
        reason = str(error).partition("\n")[0][:120]
        raise UsageError(f"checkpoint {path} is corrupt: {reason}") from None
    if not isinstance(state, dict) or set(state) - LATER != KEYS:
        raise UsageError(f"checkpoint {path} is corrupt: it is not of a training run")
    return state


def newest(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """Newest sound checkpoint of a run folder, or None, and a line for each corrupt one.

    A corrupt newest one is set aside: else the next save would put it in the sound one's place.

    Raises:
        UsageError: there are checkpoints, but every one of them is corrupt.
    """
    problems: list[str] = []
    for path in (folder / NAME, folder / PREVIOUS):
        if not path.exists():
            continue
        try:
            state = load(path)
            if problems:
                with suppress(OSError):
                    os.replace(folder / NAME, folder / CORRUPT)
            return state, problems
        except UsageError as error:
            problems.append(str(error))
    if problems:
        raise UsageError(f"{problems[0]}; --resume never starts again in a new --run-dir")
    return None, []


def choose(
    folder: Path, model: Path, wanted: str, config: Config, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """State of the checkpoint to continue from, or None for a fresh start.

    Args:
        folder: of the run. model: its sub-folder for the published model.
        wanted: auto, never, or the path of a checkpoint.
        say: takes one line about what is unusual.

    Raises:
        UsageError: the folder holds something else, or the checkpoint is corrupt or of another
            network or optimiser, or a named one would take the place of another run, or of what
            came after it.
    """
    ours = any((folder / name).exists() for name in (NAME, PREVIOUS))
    if model.exists() and not ours:
        raise UsageError(
            f"{model} exists, but is of no run here and would be replaced: choose another --run-dir"
        )
    if wanted == "never" and ours:
        raise UsageError(f"{folder} already holds a run: choose another --run-dir, or resume it")
    if ours:
        recover(model)
    if wanted == "never":
        return None
    if wanted == "auto":
        state, problems = newest(folder)
        for problem in problems:
            say(f"{problem}; using the previous checkpoint")
    else:
        state = load(Path(wanted))
        if ours and model.exists():
            _check_known(folder, state, wanted)
    if state:
        # Through the schema, which fills in keys that came after the checkpoint.
        name = f"the checkpoint in {folder}" if wanted == "auto" else f"the checkpoint {wanted}"
        before = parse_config(state["config"], name)
        _compare(before.model_dump(), config.model_dump(), name, say)
        if not model.exists():  # what earned the best score is not here
            state["progress"] |= {"best": float("-inf"), "piece": (-1, float("-inf"))}
    return state


def _check_known(folder: Path, state: dict[str, Any], wanted: str) -> None:
    """UsageError unless the model in a run's folder is the one that a checkpoint knows.

    By its scores another would be judged, which could be better than those to come, and replaced.
    """
    own, _ = newest(folder)
    if own is None:
        return
    # Written out, for a score that is no number does not equal itself.
    one, other = (repr([at["progress"].get(key) for key in _SCORES]) for at in (own, state))
    if one != other or own["step"] > state["step"]:
        raise UsageError(
            f"{folder} has a run of its own, at step {own['step']}, that --resume {wanted} at step "
            f"{state['step']} would replace: leave --resume out to go on with it, or give another "
            "--run-dir"
        )


def _compare(
    before: dict[str, Any], now: dict[str, Any], name: str, say: Callable[[str], None]
) -> None:
    """Name the values that changed. Raises UsageError for those that must not."""
    earlier, later = _flat(before), _flat(now)
    changed = [key for key, value in later.items() if earlier[key] != value]
    fatal = [name for name in changed if name.startswith(_FIXED)]
    if fatal:
        raise UsageError(
            f"{name} is of another run ({', '.join(fatal)} differ): "
            f"use its config, or another --run-dir"
        )
    if changed:
        say(f"resuming with changed {', '.join(changed)}")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of sections in sections by their keys with dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = isinstance(value, dict)
        found |= _flat(value, f"{prefix}{key}.") if inner else {f"{prefix}{key}": value}
    return found
