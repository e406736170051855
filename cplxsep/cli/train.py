"""`cplxsep train`: train a model from a TOML configuration."""

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cplxsep.cli import common, completion, options
from cplxsep.errors import UsageError

if TYPE_CHECKING:
    from cplxsep.config import Config


def train(
    config: Annotated[
        Path | None,
        typer.Option(
            autocompletion=completion.configs,
            help="TOML file of the run, or the name of a shipped config or model.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Override one value: section.key=value.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(
            callback=common.on_disk, help="Checkpoints, log and model go here, else in runs/CONFIG."
        ),
    ] = None,
    resume: Annotated[str, typer.Option(help="auto, never, or a checkpoint file.")] = "auto",
    init: Annotated[
        str,
        typer.Option(
            autocompletion=completion.models,
            help="Start from the weights of a shipped model, folder or file.",
        ),
    ] = "",
    device: options.Device = "auto",
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None, typer.Option(help="Instead of the config's.")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop at this step.")] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Stop so long after the command's start, where the decay of a trapezoid ends "
            "unless train.minutes is set; resume later.",
        ),
    ] = None,
    check: Annotated[bool, typer.Option(help="One step and one validation; keep nothing.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the shipped configs.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the config as TOML.")] = False,
) -> None:
    """Train a network, resuming where a run in the same folder stopped."""
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun starts
    common.stderr.quiet = not first  # a mistake that all of them see is told once
    if listed:
        for line in _listing():
            common.stdout(line)
        return
    if config is None:
        raise UsageError("name a TOML file or a shipped config with --config, or see --list")
    changes = list(changes or [])
    if precision:
        changes.append(f'train.precision="{precision}"')
    settings, name, text = _settings(config, changes)
    if show:
        common.stdout(text.rstrip())
        return
    if resume not in ("auto", "never") and not os.path.isfile(resume):
        raise UsageError(f"--resume {resume}: neither auto, never, nor a checkpoint file")

    from cplxsep.training.heap import keep_freed_memory

    keep_freed_memory()
    from cplxsep.training import run
    from cplxsep.training.stop import Stopped

    folder = run_dir or run.default_folder(name)
    options = run.Options(
        folder=folder,
        resume=resume,
        device=device,
        max_steps=max_steps,
        max_minutes=max_minutes,
        init=init,
    )
    common.stderr.quiet = False
    live = common.stderr.is_terminal and common.verbosity.level >= 0
    console = common.stderr if live else None
    try:
        if check:
            run.check(settings, options, console, common.note)
            result = "ok"
        else:
            result = str(run.train(settings, options, console, common.note))
    except Stopped as stop:
        if first:
            common.note(f"{stop}: the same command goes on from there")
        raise typer.Exit(stop.exit_code) from None
    if first:
        common.stdout(result)


def _settings(config: Path, changes: list[str]) -> "tuple[Config, str, str]":
    """The configuration that a path or name means, what its run is called, and it as TOML."""
    from cplxsep.config import read_config, shipped, to_toml
    from cplxsep.model_folder import catalogue
    from cplxsep.model_folder.contents import CONFIG

    name = config.as_posix()
    if os.path.exists(config) and not os.path.isdir(config):  # it may be a pipe
        settings = read_config(config, changes)
    elif name.startswith(shipped.FAMILIES) or name in shipped.names():
        settings = shipped.load(name, changes)
        return settings, name.replace("/", "-"), shipped.text(name, settings)
    elif folder := catalogue.shipped(name):
        settings = read_config(folder / CONFIG, changes)
    else:
        close = difflib.get_close_matches(name, [*shipped.names(), *catalogue.names()], n=1)
        meant = f"did you mean '{close[0]}'? " if close else ""
        raise UsageError(
            f"there is no file and no shipped config {name}: {meant}cplxsep train --list names them"
        )
    return settings, config.name, to_toml(settings)


def _listing() -> list[str]:
    """A line for each shipped configuration and model that `--config` takes."""
    from cplxsep.config import shipped
    from cplxsep.model_folder import catalogue

    lines = {name: shipped.describe(name) for name in shipped.names()}
    lines |= dict.fromkeys(catalogue.names(), "the shipped model's own training")
    width = max(map(len, lines))
    return [f"{name:{width}}  {about}" for name, about in lines.items()]
