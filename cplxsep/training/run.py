"""From a configuration to a finished run: data, model, precision, resume, published folder."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from cplxsep.config import Config
from cplxsep.errors import DeviceError, InputError
from cplxsep.networks.registry import build
from cplxsep.nn import passes
from cplxsep.nn.device import out_of_memory, pick_device, pick_precision
from cplxsep.training import publish, resume
from cplxsep.training.examples import load_examples
from cplxsep.training.log import Log
from cplxsep.training.loop import Trainer

MODEL = "model"  # sub-folder of a run


@dataclass(frozen=True)
class Options:
    """How a run is done, apart from what the configuration says."""

    folder: Path
    resume: str = "auto"  # auto, never, or the path of a checkpoint
    device: str = "auto"
    max_steps: int | None = None
    max_minutes: float | None = None


def check(
    config: Config, options: Options, console: Console | None, say: Callable[[str], None]
) -> None:
    """One step and one validation of a run, in a folder that is thrown away."""
    data = config.data.model_copy(update={"valid_mixtures": config.train.batch})
    with tempfile.TemporaryDirectory(prefix="cplxsep-check-") as folder:
        trial = replace(options, folder=Path(folder), resume="never", max_steps=1)
        train(config.model_copy(update={"data": data}), trial, console, say)


def train(
    config: Config,
    options: Options,
    console: Console | None,
    say: Callable[[str], None],
) -> Path:
    """Train, and return the folder of the best model. `console` None draws no progress bar.

    Raises:
        UsageError: the configuration or a checkpoint is unusable.
        InputError: the data is, or the run diverged, or the disk is full.
        DeviceError: the device is, or its memory does not suffice.
    """
    minutes = options.max_minutes
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    device = pick_device(options.device)
    autocast = pick_precision(config.train.precision, device, auto_on_cpu=True)
    target = options.folder / MODEL
    state = resume.find_state(options.folder, target, options.resume, config, say)
    if config.train.compile and (why := passes.enable_fast(device.type)):
        say(f"no compiled kernels, training is slower: {why}")
    train_set, valid_set = load_examples(config, options.folder, say)
    until = min(config.train.steps, options.max_steps or config.train.steps)
    torch.manual_seed(config.train.seed)
    try:
        with Log(options.folder / "log.jsonl", console, config.train.steps, say) as log:
            trainer = Trainer(
                build(config.model).to(device),
                config,
                train_set,
                valid_set,
                options.folder,
                autocast=autocast,
                publish=lambda model, progress: publish.write(target, model, config, progress),
                log=log,
            )
            if state:
                trainer.resume(state)
                done = trainer.progress.step
                say(f"resumed at step {done}" + (", which is the last" if done >= until else ""))
            if not target.exists():
                trainer.progress.best = float("-inf")  # what earned it is not here
            trainer.run(until_step=until, deadline=deadline)
    except (MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            raise DeviceError(
                f"out of memory on {device}: lower train.batch or data.seconds"
            ) from error
        raise
    if not target.exists():
        raise InputError("no validation gave a finite score, so there is no model: lower optim.lr")
    return target


def default_folder(config_name: str) -> Path:
    """Where a run goes unless told otherwise."""
    return Path("runs") / Path(config_name).stem
