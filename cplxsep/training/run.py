"""From a configuration to a finished run: data, model, precision, resume, published folder."""

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from cplxsep.config import Config
from cplxsep.data.dynamic import DynamicMixtures
from cplxsep.data.manifest import Utterance, assign_splits, check_disjoint, load_speech
from cplxsep.errors import UsageError
from cplxsep.networks.model import SeparationModel
from cplxsep.networks.registry import build
from cplxsep.nn import passes
from cplxsep.nn.device import pick_device, pick_precision
from cplxsep.training import checkpoint, publish
from cplxsep.training.log import Log
from cplxsep.training.loop import Progress, Trainer

MODEL = "model"  # sub-folder of a run
# Of the talkers' split and of the validation mixtures: the same in every run of some speech.
SPLIT_SEED, VALID_SEED = 0, 1


@dataclass(frozen=True)
class Options:
    """How a run is done, apart from what the configuration says."""

    folder: Path
    resume: str = "auto"  # auto, never, or the path of a checkpoint
    device: str = "auto"
    max_steps: int | None = None
    max_minutes: float | None = None


def check(config: Config, options: Options, console: Console, say: Callable[[str], None]) -> None:
    """One step and one validation of a run, in a folder that is thrown away."""
    data = config.data.model_copy(update={"valid_mixtures": config.train.batch})
    with tempfile.TemporaryDirectory(prefix="cplxsep-check-") as folder:
        trial = replace(options, folder=Path(folder), resume="never", max_steps=1)
        train(config.model_copy(update={"data": data}), trial, console, say)


def train(config: Config, options: Options, console: Console, say: Callable[[str], None]) -> Path:
    """Train, and return the folder of the best model.

    Raises:
        UsageError: the configuration or a checkpoint is unusable.
        InputError: the data is, or the run diverged, or the disk is full.
        DeviceError: the device is.
    """
    device = pick_device(options.device)
    autocast = pick_precision(config.train.precision, device, auto_on_cpu=True)
    if config.train.compile and (why := passes.enable_fast(device.type)):
        say(f"no compiled kernels, training is slower: {why}")
    speech = _speech(config, say)
    data = config.data
    train_set = _mixtures(config, options, speech, data.train_split, config.train.seed + 2, say)
    valid_set = _mixtures(config, options, speech, data.valid_split, VALID_SEED, say)
    torch.manual_seed(config.train.seed)
    model = build(config.model).to(device)
    total = config.train.steps
    target = options.folder / MODEL

    def published(model: SeparationModel, progress: Progress) -> None:
        publish.write(target, model, config, progress)

    with Log(options.folder / "log.jsonl", console, total, say) as log:
        trainer = Trainer(
            model,
            config,
            train_set,
            valid_set,
            options.folder,
            autocast=autocast,
            publish=published,
            log=log,
        )
        if state := _state(options, config, say):
            trainer.resume(state)
            say(f"resumed at step {trainer.progress.step}")
        until = total if options.max_steps is None else min(total, options.max_steps)
        seconds = None if options.max_minutes is None else options.max_minutes * 60
        trainer.run(until_step=until, seconds=seconds)
    return target


def _speech(config: Config, say: Callable[[str], None]) -> list[Utterance]:
    """All utterances, speakers disjoint between splits; a folder of speakers is split here."""
    if not config.data.speech:
        raise UsageError("data.speech is not set: the manifest CSV or folder of speech to train on")
    found = load_speech(
        Path(config.data.speech).expanduser(), lambda error: say(f"left out: {error}")
    )
    speech = assign_splits(found, SPLIT_SEED, least=config.model.sources)
    check_disjoint(speech)
    return speech


def _mixtures(
    config: Config,
    options: Options,
    speech: list[Utterance],
    split: str,
    seed: int,
    say: Callable[[str], None],
) -> DynamicMixtures:
    data = config.data
    utterances = [utterance for utterance in speech if utterance.split == split]
    if not utterances:
        known = sorted({utterance.split for utterance in speech})
        raise UsageError(f"{data.speech} has no split '{split}'; it has: {', '.join(known)}")
    training = split == data.train_split
    return DynamicMixtures(
        utterances,
        sample_rate=config.model.sample_rate,
        sources=config.model.sources,
        seconds=data.seconds if training else data.valid_seconds,
        snr=data.snr,
        speed=data.speed if training and data.speed != (1.0, 1.0) else None,
        gain_db=data.gain,
        seed=seed,
        cache=Path(data.cache).expanduser() if data.cache else options.folder / "cache",
        report=lambda error: say(f"left out: {error}"),
    )


def _state(options: Options, config: Config, say: Callable[[str], None]) -> dict | None:
    """The checkpoint to continue from, if any."""
    if options.resume == "never":
        if (options.folder / checkpoint.NAME).exists():
            raise UsageError(
                f"{options.folder} already holds a run: choose another --run-dir, or --resume auto"
            )
        return None
    if options.resume == "auto":
        state, problems = checkpoint.find(options.folder)
        for problem in problems:
            say(f"{problem}; using the previous checkpoint")
    else:
        state = checkpoint.load(Path(options.resume))
    if state is None and (options.folder / MODEL).exists():
        raise UsageError(
            f"{options.folder / MODEL} exists, but is of no run here and would be replaced: "
            f"choose another --run-dir"
        )
    if state and state["config"]["model"] != config.model.model_dump():
        changed = [
            key
            for key, value in config.model.model_dump().items()
            if state["config"]["model"].get(key) != value
        ]
        raise UsageError(
            f"the checkpoint in {options.folder} is of another model ({', '.join(changed)} "
            f"differ): use its config, or another --run-dir"
        )
    return state


def default_folder(config_name: str) -> Path:
    """Where a run goes unless told otherwise."""
    return Path(os.curdir) / "runs" / Path(config_name).stem
