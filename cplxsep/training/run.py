"""From a configuration to a finished run: data, model, precision, resume, published folder."""

import math
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
from cplxsep.config.unused import unused
from cplxsep.data.cache import watched
from cplxsep.data.on_device.choose import bring
from cplxsep.errors import DeviceError, InputError, UsageError
from cplxsep.losses import LEVEL_FREE
from cplxsep.model_folder.contents import OF_RUN
from cplxsep.networks.model import SeparationModel
from cplxsep.nn import backends
from cplxsep.nn.device import flushed_denormals, out_of_memory, pick_precision
from cplxsep.training import checkpoint, init, optim
from cplxsep.training.clock import Clock
from cplxsep.training.distributed import Ranks, join
from cplxsep.training.examples import load_examples
from cplxsep.training.lock import exclusive
from cplxsep.training.log import Log, reported, result_table
from cplxsep.training.loop import Trainer
from cplxsep.training.schedule import ends_at_deadline, is_over
from cplxsep.training.state import RunContext, RunState
from cplxsep.training.stop import StopSignals

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
    deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
    target = options.folder / OF_RUN
    with flushed_denormals(), join(options.device) as ranks, ExitStack() as held:
        if not ranks.first:
            console, say = None, lambda _: None
        ranks.from_first(lambda: held.enter_context(exclusive(options.folder)))
        try:
            state = _run(config, options, ranks, deadline, console, say)
        except (MemoryError, RuntimeError) as error:
            if out_of_memory(error):
                raise DeviceError(
                    f"out of memory on {ranks.device} with train.batch = {config.train.batch}: "
                    f"raise train.accumulate, or lower train.batch or data.seconds"
                ) from error
            raise
        if ranks.first:
            if not target.exists():
                raise InputError(
                    "no validation gave a finite score, so there is no model: lower optim.lr, or "
                    "look at the data"
                )
            if not options.trial:
                say(result_table(state.progress, state.model, options.folder, target))
    return target


def _run(
    config: Config,
    options: Options,
    ranks: Ranks,
    deadline: float,
    console: Console | None,
    say: Say,
) -> RunState:
    """What is there at the end of a run, or of the piece of it that was asked for."""
    autocast = pick_precision(config.train.precision, ranks.device)
    alike = _alike(config, ranks)
    saved = ranks.from_first(lambda: _checkpoint(config, options, ranks, alike, say))
    state, resumed = _begin(config, options, saved, ranks, say), saved is not None
    del saved  # as large as what is trained
    with watched(reported(console, say)):
        train_set, valid_set = ranks.one_after_first(
            lambda: load_examples(config, options.folder, say)
        )
    if ranks.count == 1:
        train_set = bring(train_set, config.train.batch, ranks.device, say)
    done = state.progress.step
    last_step = min(config.train.steps, options.max_steps or config.train.steps)
    if resumed:
        last = is_over(state.progress, config.train) or done >= last_step
        say(f"resumed at step {done}{', which is the last' if last else ''}")
    if ends_at_deadline(config.optim, config.train, deadline):
        say(
            "the learning rate falls until --max-minutes: for a piece of a longer run set "
            "train.minutes to its whole length, or end the piece by --max-steps"
        )
    log = Log(options.folder if ranks.first else None, console, say, config.train.steps, done)
    with log, StopSignals(ignore_second=ranks.count > 1) as stop:
        context = RunContext(config, options.folder, log, ranks, autocast, stop, Clock(deadline))
        Trainer(state, context, train_set, valid_set).run(last_step)
    return state


def _alike(config: Config, ranks: Ranks) -> bool:
    """Whether all processes, of whatever node, train the same; where files lie may differ."""
    mine = config.model_copy(
        update={
            "data": config.data.model_copy(
                update={"speech": "", "mixtures": "", "mix": "", "cache": ""}
            ),
            "noise": config.noise.model_copy(update={"recordings": "", "rooms": ""}),
        }
    )
    return not ranks.largest(mine != ranks.from_first(lambda: mine))


def _checkpoint(
    config: Config, options: Options, ranks: Ranks, alike: bool, say: Say
) -> dict[str, Any] | None:
    """What the run goes on from, if anything; says first what is odd about the configuration."""
    settings = config.train
    if not alike:
        raise UsageError(
            "the processes were given different configurations: start every node with the same, "
            "but for where files lie"
        )
    ranks.share(settings.batch, settings.accumulate)
    if keys := unused(config):
        say(f"no effect in this run: {', '.join(keys)}")
    level_free = settings.loss in LEVEL_FREE and not settings.magnitude
    if config.model.level == "network" and level_free:
        say(
            f"train.loss {settings.loss} leaves the level of the outputs open: set model.level "
            f"to 'mixture', which fits it, or take a loss that knows level"
        )
    optim.import_package(config.optim)
    target = options.folder / OF_RUN
    saved = checkpoint.choose(options.folder, target, options.resume, config, say)
    if saved and options.init:
        say(f"--init {options.init} has no effect: the run goes on from its checkpoint")
    return saved


def _begin(
    config: Config, options: Options, saved: dict[str, Any] | None, ranks: Ranks, say: Say
) -> RunState:
    """The model on its device with all that trains it, at the step of a checkpoint or the first."""
    torch.manual_seed(config.train.seed)
    model = SeparationModel(config.model)
    parent = None
    if options.init and not saved:
        parent = ranks.from_first(lambda: init.start(options.init, model, say))
    model = model.to(ranks.device)
    ranks.broadcast(model)
    if config.train.compile:
        why = ranks.one_after_first(lambda: backends.enable(ranks.device.type))
        if why:
            say(f"no compiled kernels, training is slower: {why}")
    state = RunState(model, config.optim, parent)
    if saved:
        state.restore(saved)
    return state


def default_folder(config_name: str) -> Path:
    """Where a run goes unless told otherwise."""
    return Path("runs") / Path(config_name).stem
