"""From what a run starts: nothing, its own newest checkpoint, or one that was named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cplxsep.config import Config, parse_config
from cplxsep.errors import UsageError
from cplxsep.model_folder.publish import recover
from cplxsep.training import checkpoint

# The state of the run means nothing under another value of these.
_FIXED = ("model", "optim.optimizer")


def find_state(
    folder: Path, model: Path, wanted: str, config: Config, say: Callable[[str], None]
) -> dict[str, Any] | None:
    """State of the checkpoint to continue from, or None for a fresh start.

    Args:
        folder: of the run. model: its sub-folder for the published model.
        wanted: auto, never, or the path of a checkpoint.
        say: takes one line about what is unusual.

    Raises:
        UsageError: the folder holds something else, or the checkpoint is corrupt or of another
            network or optimiser.
    """
    ours = any((folder / name).exists() for name in (checkpoint.NAME, checkpoint.PREVIOUS))
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
        state, problems = checkpoint.find(folder)
        for problem in problems:
            say(f"{problem}; using the previous checkpoint")
    else:
        state = checkpoint.load(Path(wanted))
    if state:
        # Through the schema, which fills in keys that came after the checkpoint.
        name = f"the checkpoint in {folder}" if wanted == "auto" else f"the checkpoint {wanted}"
        before = parse_config(state["config"], name)
        _compare(before.model_dump(), config.model_dump(), name, say)
    return state


def _compare(
    before: dict[str, Any], now: dict[str, Any], name: str, say: Callable[[str], None]
) -> None:
    """Name the values that changed. Raises UsageError for those that must not."""
    changed = [
        f"{section}.{key}"
        for section, values in now.items()
        for key, value in values.items()
        if before[section][key] != value
    ]
    fatal = [name for name in changed if name.startswith(_FIXED)]
    if fatal:
        raise UsageError(
            f"{name} is of another run ({', '.join(fatal)} differ): "
            f"use its config, or another --run-dir"
        )
    if changed:
        say(f"resuming with changed {', '.join(changed)}")
