"""The step of training as one CUDA graph, from a batch to new weights and their average.

The host only copies batches in and replays; it reads losses and norms some steps later. There is a
graph for each sample rate and shape of a batch; all share parameters, optimisers and average.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cplxsep.nn.cuda_graph import capture, why_not
from cplxsep.training.graph_updates import Updates, have_forms
from cplxsep.training.schedule import lr_at
from cplxsep.training.state import RunContext, RunState
from cplxsep.training.step import TrainingStep, count_step

AT_ONCE = 16  # steps between two readings, at most
SECONDS = 1.0  # and about so long, for a wish to stop to be heard
GRAPHS = 4  # shapes; of data with more of them the steps are made without graphs
DRY_RUNS = 3  # before a capture: libraries choose and make what they need

Batches = Iterator[tuple[Tensor, Tensor]]


def training_step(state: RunState, context: RunContext) -> "TrainingStep | GraphStep":
    """The fastest step that a run can have: as a graph, for one process on a GPU.

    What a graph cannot hold: other optimisers, dropout (each replay's random numbers would not be
    those of its step alone), and mixtures each as long as it is.
    """
    fixed = context.config.data.seconds > 0
    dropout = any(getattr(module, "dropout", 0) for module in state.model.modules())
    alone_on_gpu = context.ranks.count == 1 and context.ranks.device.type == "cuda"
    if alone_on_gpu and fixed and not dropout and have_forms(state.optimizers):
        return GraphStep(state, context)
    return TrainingStep(state, context)


class Replay(NamedTuple):
    """A graph: its inputs, mixtures (B, S) and sources (B, N, S), and what runs it."""

    mixtures: Tensor
    sources: Tensor
    run: Callable[[], None]


class Enqueued(NamedTuple):
    """A step under way: its rate of learning, and the seconds of its mixtures."""

    lr: float
    length: float


class NoGraphError(Exception):
    """A step that cannot be captured, and why in one line."""


class GraphStep:
    """Steps of a run, as `TrainingStep` makes them, several under way at a time.

    Where a capture fails, that says so in one line and makes them from then on.
    """

    def __init__(self, state: RunState, context: RunContext) -> None:
        self.state = state
        self.context = context
        self.plain = TrainingStep(state, context)
        self.updates = Updates(state, context.config.optim.clip)
        device = context.ranks.device
        self.live = torch.zeros((), device=device)  # 0 while graphs are made, then 1
        self.report = torch.zeros(2, device=device)  # loss and norm of the last step
        self.reports = torch.zeros(AT_ONCE, 2, device=device)
        self.replays: dict[tuple[int, torch.Size, torch.Size], Replay] = {}
        on_gpu = device.type == "cuda"
        self.stream = torch.cuda.Stream(device) if on_gpu else None  # of all captures
        self.pool = torch.cuda.graph_pool_handle() if on_gpu else None
        self.pace = SECONDS  # seconds of the last steps, each
        self.given_up = False

    def __call__(self, batches: Batches, most: int = 1) -> tuple[bool, bool]:
        """Make up to `most` steps, each from the next batch; a non-finite one changes nothing.

        Returns whether the run is to stop, and whether it is past its deadline.

        Raises:
            InputError: more non-finite steps in a row than the configuration allows, or data that
                cannot be read.
        """
        if self.given_up:
            return self.plain(batches, most)
        progress, started = self.state.progress, time.monotonic()
        # The one after which a run has diverged is the last that it makes.
        allowed = self.context.config.train.max_bad_steps + 1 - progress.bad_in_a_row
        steps = max(1, min(most, AT_ONCE, allowed, int(SECONDS / max(self.pace, 1e-9))))
        made: list[Enqueued] = []
        batch = None
        try:
            for _ in range(steps):
                batch = next(batches)
                made.append(self._enqueue(*batch, len(made)))
        except NoGraphError as error:
            self.given_up = True
            self.context.log.note(f"no graph of the training step, it is slower: {error}")
        finally:
            self._count(made, started)
        if self.given_up:
            self.replays.clear()  # their memory is needed
            return self.plain(itertools.chain([batch], batches) if batch else batches, 1)
        return self.context.stop(), self.context.clock.late()

    def _enqueue(self, mixtures: Tensor, sources: Tensor, ahead: int) -> Enqueued:
        """Let the device make a step, the one `ahead` of what is counted."""
        config, progress = self.context.config, self.state.progress
        step, rates = progress.step + ahead, config.training_rates
        rate = rates[step % len(rates)]
        key = (rate, mixtures.shape, sources.shape)
        if key not in self.replays:
            self.replays[key] = self._make(rate, mixtures, sources)
            self.context.clock.restart()
        replay = self.replays[key]
        replay.mixtures.copy_(mixtures, non_blocking=True)
        replay.sources.copy_(sources, non_blocking=True)
        lr = lr_at(step, config.optim, config.train, progress.busy, self.context.elapsed())
        self.updates.prepare(lr, step)
        replay.run()
        self.reports[ahead].copy_(self.report)
        return Enqueued(lr, mixtures.shape[1] / rate)

    def _count(self, made: list[Enqueued], started: float) -> None:
        """Wait for steps and count them. Raises InputError when the run has diverged."""
        if not made:
            return
        reports = self.reports[: len(made)].tolist()
        self.pace = (time.monotonic() - started) / len(made)
        for step, (loss, norm) in zip(made, reports, strict=True):
            count_step(self.state, self.context, loss, norm, step.lr, step.length, self.pace)

    def _make(self, rate: int, mixtures: Tensor, sources: Tensor) -> Replay:
        """The graph of a rate and shape.

        Raises:
            NoGraphError: it cannot be made, for another reason than memory.
        """
        if len(self.replays) == GRAPHS:
            raise NoGraphError(f"batches have more than {GRAPHS} shapes")
        device = self.context.ranks.device
        inputs = [part.to(device, copy=True) for part in (mixtures, sources)]
        step = partial(self._step, rate, *inputs)
        self.live.zero_()
        before = self.plain.copied_buffers()
        try:
            run = captured(step, device, self.stream, self.pool)
        except Exception as error:
            self.plain.restore(before)
            raise NoGraphError(why_not(error)) from error
        self.live.fill_(1)
        return Replay(inputs[0], inputs[1], run)

    def _step(self, rate: int, mixtures: Tensor, sources: Tensor) -> None:
        """One step, without a word from the host."""
        before = self.updates.buffers()
        loss, grads = self._gradients(rate, mixtures, sources)
        norm = self.updates(loss, grads, before, self.live)
        self.report.copy_(torch.stack([loss, norm]))

    def _gradients(
        self, rate: int, mixtures: Tensor, sources: Tensor
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Mean loss and gradients of a batch, computed in as many parts as the run asks for."""
        parts = self.context.config.train.accumulate
        total = torch.zeros((), device=mixtures.device)
        grads: list[Tensor | None] = [None] * len(self.updates.parameters)
        for some, theirs in zip(mixtures.chunk(parts), sources.chunk(parts), strict=True):
            loss = self.plain.forward(rate, some, theirs) / parts
            found = torch.autograd.grad(loss, self.updates.parameters, allow_unused=True)
            grads = [
                old + new if old is not None and new is not None else new
                for old, new in zip(grads, found, strict=True)
            ]
            total += loss.detach()
        return total, grads


def captured(
    step: Callable[[], None], device: torch.device, stream: Any, pool: Any
) -> Callable[[], None]:
    """A step as one CUDA graph, after dry runs of it; elsewhere, for tests, the step itself."""
    if device.type != "cuda":
        step()
        return step
    # Shapes stay, so that the fastest kernels of convolutions are worth a search.
    benchmark = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        with torch.cuda.device(device):
            graph, _ = capture(step, stream, pool, DRY_RUNS)
    finally:
        torch.backends.cudnn.benchmark = benchmark
    return graph.replay
