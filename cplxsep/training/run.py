"""From a configuration to a finished run: data, model, precision, resume, published folder."""

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from cplxsep.config import Config
from cplxsep.data.cache import watched
from cplxsep.errors import DeviceError, InputError
from cplxsep.losses import LEVEL_FREE
from cplxsep.networks.folder import OF_RUN
from cplxsep.networks.registry import build
from cplxsep.nn import backends
from cplxsep.nn.device import flushed_denormals, out_of_memory, pick_precision
from cplxsep.training import init, optim, publish, resume
from cplxsep.training.decoding import told
from cplxsep.training.distributed import Ranks, join
from cplxsep.training.examples import load_examples
from cplxsep.training.lock import alone
from cplxsep.training.log import Log
from cplxsep.training.loop import Trainer
from cplxsep.training.stop import StopSignals
from cplxsep.training.summary import summary

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How a run is done, apart from what the configuration says."""

    folder: Path
    resume: str = "auto"  # auto, never, or the path of a checkpoint
    device: str = "auto"
    max_steps: int | None = None
    max_minutes: float | None = None
    trial: bool = False  # nothing of it is kept
    init: str = ""  # model to start from: a shipped name, a folder, or a .safetensors file


def check(config: Config, options: Options, console: Console | None, say: Say) -> None:
    """One step and one validation of a run, in a folder that is thrown away."""
    data = config.data.model_copy(update={"valid_mixtures": config.train.batch})
    with tempfile.TemporaryDirectory(prefix="cplxsep-check-") as folder:
        trial = replace(options, folder=Path(folder), resume="never", max_steps=1, trial=True)
        train(config.model_copy(update={"data": data}), trial, console, say)


def train(config: Config, options: Options, console: Console | None, say: Say) -> Path:
    """Train, and return the folder of the best model. `console` None draws no progress bar.

    Under torchrun all its processes call this; the first alone writes and tells.

    Raises:
        UsageError: the configuration or a checkpoint is unusable, or another run is at work there.
        InputError: the data is, or the run diverged, or the disk is full.
        DeviceError: the device is, or its memory does not suffice.
        Stopped: SIGINT or SIGTERM came; the checkpoint is written.
    """
    minutes = options.max_minutes
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    target = options.folder / OF_RUN
    with flushed_denormals(), join(options.device) as ranks, ExitStack() as held:
        if not ranks.first:
            console, say = None, _silent
        ranks.from_first(lambda: held.enter_context(alone(options.folder)))
        try:
            trainer = _prepare(config, options, ranks, console, say)
            with trainer.log, StopSignals(patient=ranks.count > 1) as trainer.stop:
                trainer.run(until_step=_last_step(config, options), deadline=deadline)
        except (MemoryError, RuntimeError) as error:
            if out_of_memory(error):
                raise DeviceError(
                    f"out of memory on {ranks.device}: raise train.accumulate, or lower "
                    f"train.batch or data.seconds"
                ) from error
            raise
        if ranks.first:
            if not target.exists():
                raise InputError(
                    "no validation gave a finite score, so there is no model: lower optim.lr, or "
                    "look at the data"
                )
            if not options.trial:
                say(summary(trainer.progress, trainer.model, options.folder, target))
    return target


def _prepare(
    config: Config, options: Options, ranks: Ranks, console: Console | None, say: Say
) -> Trainer:
    """A trainer with its data, at the step where the run stopped."""
    target = options.folder / OF_RUN

    def find() -> tuple[dict[str, Any] | None, bool]:
        ranks.share(config.train.batch, config.train.accumulate)
        if unused := config.model.unused():
            keys = ", ".join(f"model.{key}" for key in unused)
            say(f"no effect in this {config.model.network} network: {keys}")
        settings = config.train
        level_free = settings.loss in LEVEL_FREE and not settings.magnitude
        if config.model.level == "network" and level_free:
            say(
                f"train.loss {settings.loss} leaves the level of the outputs open: set model.level "
                f"to 'mixture', which fits it, or take a loss that knows level"
            )
        optim.package(config.optim)
        state = resume.find_state(options.folder, target, options.resume, config, say)
        if state and options.init:
            say(f"--init {options.init} has no effect: the run goes on from its checkpoint")
        return state, target.exists()

    autocast = pick_precision(config.train.precision, ranks.device)
    state, published = ranks.from_first(find)
    torch.manual_seed(config.train.seed)
    model = build(config.model)
    parent = state.get("parent") if state else None
    if options.init and not state:
        parent = ranks.from_first(lambda: init.start(options.init, model, say))
    model = model.to(ranks.device)
    ranks.spread(model)
    if config.train.compile:
        why = ranks.one_after_first(lambda: backends.enable(ranks.device.type))
        if why:
            say(f"no compiled kernels, training is slower: {why}")
    with watched(told(console, say)):
        train_set, valid_set = ranks.one_after_first(
            lambda: load_examples(config, options.folder, say)
        )
    trainer = Trainer(
        model,
        config,
        train_set,
        valid_set,
        options.folder,
        autocast=autocast,
        publish=lambda model, progress: publish.write(target, model, config, progress, parent),
        log=Log(options.folder if ranks.first else None, console, config.train.steps, say),
        ranks=ranks,
        parent=parent,
    )
    if state:
        trainer.resume(state)
        done = trainer.progress.step
        last = trainer.over() or done >= _last_step(config, options)
        over = ", which is the last" if last else ""
        say(f"resumed at step {done}{over}")
    if not published:
        trainer.progress.best = float("-inf")  # what earned it is not here
    return trainer


def _last_step(config: Config, options: Options) -> int:
    return min(config.train.steps, options.max_steps or config.train.steps)


def _silent(_: str) -> None:
    """Say nothing."""


def default_folder(config_name: str) -> Path:
    """Where a run goes unless told otherwise."""
    return Path("runs") / Path(config_name).stem
