"""`cplxsep train`: train a model from a TOML configuration."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cplxsep.cli import common
from cplxsep.errors import UsageError


def train(
    config: Annotated[
        Path,
        typer.Option(help="TOML file with the run's configuration, or a shipped model's name."),
    ],
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Override one value: section.key=value.")
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option(help="Checkpoints, log and model go here [runs/CONFIG].")
    ] = None,
    resume: Annotated[str, typer.Option(help="auto, never, or a checkpoint file.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="auto, fp32 or bf16.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop at this step.")] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0, help="Stop after this long; resume later.")
    ] = None,
    check: Annotated[bool, typer.Option(help="One step and one validation; keep nothing.")] = False,
) -> None:
    """Train a network, resuming where a run in the same folder stopped."""
    from cplxsep.config import read_config
    from cplxsep.engine import shelf
    from cplxsep.networks.folder import CONFIG

    changes = list(changes or [])
    if precision:
        changes.append(f'train.precision="{precision}"')
    shipped = not config.exists() and str(config) in shelf.names()
    settings = read_config(shelf.root() / config / CONFIG if shipped else config, changes)
    if resume not in ("auto", "never") and not Path(resume).is_file():
        raise UsageError(f"--resume {resume}: neither auto, never, nor a checkpoint file")

    # Read by torch when it first allocates: huge pages made a step on a CPU a fifth faster.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    from cplxsep.training import run

    folder = run_dir or run.default_folder(config.name)
    options = run.Options(
        folder=folder,
        resume=resume,
        device=device,
        max_steps=max_steps,
        max_minutes=max_minutes,
    )
    live = common.stderr.is_terminal and common.verbosity.level >= 0
    console = common.stderr if live else None
    if check:
        run.check(settings, options, console, common.note)
        common.stdout("ok")
        return
    common.stdout(str(run.train(settings, options, console, common.note)))
