"""Checkpoints of a running training: written whole or not at all, the previous one kept."""

import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from cplxsep.errors import InputError, UsageError

NAME = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
CORRUPT = "checkpoint.corrupt.pt"
KEYS = {"step", "model", "optimizer", "average", "progress", "config"}
LATER = {"parent"}  # of newer checkpoints only


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


def find(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
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
