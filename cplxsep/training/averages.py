"""Averages of weights, which validate and ship instead of them: running, and of the best ones."""

import math
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from cplxsep.audio.atomic import replacing
from cplxsep.errors import InputError

FOLDER = "best"  # sub-folder of a run
History = Sequence[tuple[int, float]]


class RunningAverage:
    """Exponential moving average of a model's state, whose first steps count more: no warm-up.

    Args:
        model: its parameters and buffers are followed.
        decay: of the average, 0 <= decay < 1; 0 follows the model itself.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def weight(self, step: int) -> float:
        """What the model counts after its 0-based `step`, beside 1 - that of the average before."""
        return 1 - min(self.decay, (1 + step) / (10 + step)) if self.decay else 1.0

    def update(self, model: nn.Module, step: int) -> None:
        """Follow the model after its 0-based `step`."""
        self.follow(model, self.weight(step))

    @torch.no_grad()
    def follow(self, model: nn.Module, weight: float | Tensor) -> None:
        """Follow the model, which counts `weight`: a scalar, on the device if it is a tensor."""
        mine, theirs = [], []
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                mine.append(self.state[name])
                theirs.append(value.detach())
            else:
                self.state[name].copy_(value)
        if not self.decay:
            torch._foreach_copy_(mine, theirs)
        elif isinstance(weight, Tensor):
            ahead = torch._foreach_sub(theirs, mine)
            torch._foreach_mul_(ahead, weight)
            torch._foreach_add_(mine, ahead)
        else:
            torch._foreach_lerp_(mine, theirs, weight)

    def load(self, state: dict[str, Tensor]) -> None:
        """Continue from a checkpoint."""
        for name, value in state.items():
            self.state[name].copy_(value)


class BestWeights:
    """Weights of the `count` best validations of a run, one file for each.

    Which those are follows from the history in the checkpoint alone, so that a run that was
    killed between the two finds its way back.
    """

    def __init__(self, run: Path, count: int) -> None:
        self._folder = run / FOLDER
        self._count = count

    def keep(self, history: History, state: dict[str, Tensor]) -> None:
        """Store the weights of the last validation if they are among the best; drop others.

        Raises:
            InputError: the folder cannot be written.
        """
        best = self._steps(history)
        if history[-1][0] in best:
            try:
                self._folder.mkdir(exist_ok=True)
            except OSError as error:
                raise InputError(f"cannot make {self._folder}: {error.strerror}") from None
            with replacing(self._file(history[-1][0])) as temporary:
                temporary.write_bytes(save({name: v.contiguous() for name, v in state.items()}))
        for path in self._folder.glob("*.safetensors"):
            if re.fullmatch(r"\d+", path.stem) and int(path.stem) not in best:
                with suppress(OSError):
                    path.unlink()

    def average(self, history: History) -> tuple[int, dict[str, Tensor]]:
        """How many of the best could be read, and the mean of their weights."""
        found = []
        for step in self._steps(history):
            with suppress(OSError, SafetensorError):
                found.append(load_file(self._file(step)))
        if not found:
            return 0, {}
        mean = {
            name: torch.stack([state[name].double() for state in found]).mean(0).to(value.dtype)
            if value.is_floating_point()
            else value
            for name, value in found[0].items()
        }
        return len(found), mean

    def _steps(self, history: History) -> list[int]:
        """Steps of the best validations, best first, the earlier of two equal ones."""
        sound = {step: score for step, score in history if math.isfinite(score)}
        return sorted(sound, key=lambda step: (-sound[step], step))[: self._count]

    def _file(self, step: int) -> Path:
        return self._folder / f"{step}.safetensors"
